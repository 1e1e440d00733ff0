"""Decisions about look-alikes that are made at once: what is sent, and what is answered."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from kern.contracts.reports import Decision


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class BatchItem(_Model):
    """One of the requirements of a batch, and the digest of what the person was shown of it."""

    requirement_id: str
    digest: str | None = None


class Batch(_Model):
    """A verdict about several requirements that look alike."""

    verdict: Literal["approve", "reject"]
    items: tuple[BatchItem, ...]
    note: str | None = None


class BatchAnswer(_Model):
    """What became of an item of a batch: its decision, or why it was left as it was.

    Attributes:
        code: The code of the refusal, such as `already_resolved`; None where it was decided.
        detail: The same in words.
    """

    requirement_id: str
    decision: Decision | None = None
    code: str | None = None
    detail: str | None = None
