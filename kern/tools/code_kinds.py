"""Kinds of values that say by themselves what they are, for digests."""

import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import uuid
import zoneinfo
from types import (
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any

PLAIN: tuple[Any, ...] = (bool, int, float, str, bytes, bytearray, complex, type(None), type(...))
BY_REPR: tuple[Any, ...] = (
    *(decimal.Decimal, fractions.Fraction, range, uuid.UUID, pathlib.PurePath, zoneinfo.ZoneInfo),
    *(dt.timedelta, dt.datetime, dt.date, dt.time, dt.timezone),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network),
)
BUILTIN_MEMBERS = (
    *(MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType),
)
