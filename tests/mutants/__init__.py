"""Mutation testing of the Runes codec and index; not a part of the suite."""
