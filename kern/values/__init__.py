"""Plain values: canonical JSON, ids, the closed sets of words, validation."""
