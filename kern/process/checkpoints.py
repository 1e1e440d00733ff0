"""Named points in the code at which tests may kill the process; without a test they do nothing."""

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Report to an armed test that the code has come to this point."""
    if _hook is not None:
        _hook(point)


def arm(hook: Callable[[str], None] | None) -> None:
    """Have `hook` called at every point.

    None disarms. Only tests call this: no setting reaches it.
    """
    global _hook  # noqa: PLW0603  the one switch, and it must cost nothing when it is off
    _hook = hook
