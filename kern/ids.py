"""Ids: UUIDv7, so that they sort by the time they were made."""

import uuid_utils


def new_id() -> str:
    """Return a new id. Never call it from workflow code: a replay would get another one."""
    return str(uuid_utils.uuid7())
