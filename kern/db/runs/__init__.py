"""Accepting, ending, ordering and nesting runs."""
