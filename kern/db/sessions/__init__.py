"""Naming, changing, copying and deleting sessions."""
