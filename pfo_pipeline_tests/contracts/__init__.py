"""The contracts as data: what the specifications say, and the shapes that they are written in."""
