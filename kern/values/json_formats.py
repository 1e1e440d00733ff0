"""The formats that a JSON Schema names, held to what pydantic takes when the tool is called."""

import datetime as dt
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic import (
    UUID1,
    UUID3,
    UUID4,
    UUID5,
    UUID7,
    AnyUrl,
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    TypeAdapter,
    ValidationError,
)

if TYPE_CHECKING:
    from jsonschema import FormatChecker

# By their names in the schemas that pydantic writes. Those of which it needs more than the text to
# judge (a path that exists) or packages of their own (an e-mail address) are left to the tool.
_TYPES: Mapping[str, object] = {
    "date-time": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
    "uuid1": UUID1,
    "uuid3": UUID3,
    "uuid4": UUID4,
    "uuid5": UUID5,
    "uuid7": UUID7,
    "uri": AnyUrl,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "ipv4network": ipaddress.IPv4Network,
    "ipv6network": ipaddress.IPv6Network,
    "ipv4interface": ipaddress.IPv4Interface,
    "ipv6interface": ipaddress.IPv6Interface,
    "ipvanyaddress": IPvAnyAddress,
    "ipvanynetwork": IPvAnyNetwork,
    "ipvanyinterface": IPvAnyInterface,
    "regex": re.Pattern,
}


def fits(value: object, name: str) -> bool:
    """Whether a value has a format; one that is no text, or whose format is unknown, has any."""
    if not isinstance(value, str) or name not in _TYPES:
        return True
    try:
        _adapter(name).validate_python(value)
    except ValidationError:
        return False
    return True


@cache
def checker() -> "FormatChecker":
    """Return what `jsonschema` asks about formats."""
    from jsonschema import FormatChecker  # noqa: PLC0415  slow to import, seldom needed

    formats = FormatChecker(formats=())
    for name in _TYPES:
        formats.checks(name)(_check(name))
    return formats


def _check(name: str) -> Callable[[object], bool]:
    return lambda value: fits(value, name)


@cache
def _adapter(name: str) -> TypeAdapter[object]:
    return TypeAdapter(cast("Any", _TYPES[name]))
