"""Processes: a script's runtime, a worker, its health, and how a process ends."""
