"""Why somebody changed a run, and who they are."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True)
class Reason:
    """Who had a run cancelled or continued, and why; either may be missing."""

    by: str | None = None
    note: str | None = None

    @property
    def facts(self) -> dict[str, JsonValue]:
        """What is known of it, for an event."""
        values = {"by": self.by, "note": self.note}
        return {name: value for name, value in values.items() if value is not None}


NO_REASON = Reason()
