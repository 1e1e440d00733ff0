"""What people do about a requirement beside deciding it: claim it, hand it on, put it off."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from kern.values.principals import Principal


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Claim(_Model):
    """Who takes care of a requirement, and until when (UTC).

    It keeps nobody from deciding, and is over by itself.
    """

    by: str
    until: datetime


class Delegation(_Model):
    """That somebody who may decide has handed the decision to somebody else.

    Attributes:
        by: Who handed it over, without their groups.
        to: A person's name, or `group:` and a group's.
        at: When (UTC).
        voices: For whom whoever takes it over speaks: each of these has one voice, whoever uses it.
    """

    by: Principal
    to: str
    at: datetime
    voices: tuple[Principal, ...]
