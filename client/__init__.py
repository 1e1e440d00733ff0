"""Everything that talks to runs from outside the worker."""
