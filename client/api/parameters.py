"""Parameters that several routes have in common."""

from typing import Annotated

from fastapi import Header, Path

RequirementId = Annotated[
    str, Path(min_length=1, max_length=240, description="The requirement's id, or the end of it.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key again changes nothing more, and gives the first answer.",
    ),
]
