"""Tests of the inbox and of the receiver, over real HTTP on loopback."""
