"""What a model is shown of a session."""
