"""The history of the tables."""

HEAD = "0001"
