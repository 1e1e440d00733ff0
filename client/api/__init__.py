"""The HTTP API: everything that people and programs can ask, as JSON."""
