"""Tests of the documentation: it builds, its links work, and its statements are true."""
