"""Durable, human-in-the-loop runs of agents on Temporal and SQL."""

from typing import TYPE_CHECKING

__version__: str

# The name on the package index, where `kern` belongs to somebody else.
DISTRIBUTION = "kern-runs"

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        """Read `__version__` from the package's metadata when it is first needed: that is slow."""
        if name != "__version__":
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib.metadata import version  # noqa: PLC0415  only who asks pays for it

        globals()["__version__"] = installed = version(DISTRIBUTION)
        return installed
