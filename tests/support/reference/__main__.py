"""Writes the reference pages."""

from tests.support.reference import write

write()
