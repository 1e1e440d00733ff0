"""Accepting people's decisions, and checking that what runs is what was approved."""
