"""Parameters that several routes have in common."""

from typing import Annotated

from fastapi import Header, Path
from pydantic import Field, StrictStr

from kern.values.decisions import LONGEST_NOTE

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
Search = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_NOTE)]
