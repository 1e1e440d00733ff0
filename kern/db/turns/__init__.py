"""Storing turns of the model, and the state machine of a tool call."""
