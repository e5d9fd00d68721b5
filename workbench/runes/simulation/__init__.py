"""Simulated Runes history: blocks that every check of the protocol accepts."""
