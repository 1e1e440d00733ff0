"""The service over HTTP: what an operator's machine uses that has no database."""
