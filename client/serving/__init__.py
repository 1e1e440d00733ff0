"""Puts the API, the console and health into one application, and serves it."""
