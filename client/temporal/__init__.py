"""The connection to Temporal: courier, relay, workers and their sandbox."""
