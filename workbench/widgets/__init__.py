"""Widgets draw: state comes down, intents go up; nothing here fetches or keeps a socket."""
