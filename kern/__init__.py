"""Durable, human-in-the-loop runs of agents on Temporal and SQL."""
