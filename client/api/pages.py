"""Pages of lists: what one call returns, and where the next page begins."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

# What a database takes as a number.
MOST_NUMBER = 2**31 - 1

Id = Annotated[str, Field(min_length=1, max_length=240)]


class PageQuery(BaseModel):
    """Which page of a list is asked for.

    Attributes:
        limit: How many items at most.
        after: `next` of the page before.
    """

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    after: Id | None = None


class Page(BaseModel, Generic[Item]):
    """A page of a list.

    Attributes:
        items: What is on it.
        next: Pass it as `after` for the next page; none at the end.
    """

    items: list[Item]
    next: str | None = None
