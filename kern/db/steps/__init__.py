"""Executing the steps of a pipeline, and storing what follows from them."""
