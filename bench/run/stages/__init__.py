"""The three kinds of work."""
