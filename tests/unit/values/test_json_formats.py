"""Formats in a schema refuse what pydantic would refuse when the tool is called."""

import datetime as dt
import ipaddress
import re
import uuid

import pytest
from jsonschema import Draft202012Validator
from pydantic import UUID4, AnyUrl, HttpUrl, IPvAnyAddress, TypeAdapter

from kern.values import json_formats
from kern.values.json_formats import fits


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (dt.datetime, "2026-01-02T03:04:05Z"),
        (dt.date, "2026-01-02"),
        (dt.time, "03:04:05"),
        (dt.timedelta, "P1DT2H"),
        (uuid.UUID, "0191b0aa-7e3c-7c3e-8d1e-000000000000"),
        (UUID4, "7a1c2f0e-9a5e-4c39-9a4e-0123456789ab"),
        (ipaddress.IPv4Address, "127.0.0.1"),
        (ipaddress.IPv6Address, "::1"),
        (ipaddress.IPv4Network, "10.0.0.0/8"),
        (IPvAnyAddress, "::1"),
        (AnyUrl, "https://example.org/"),
        (HttpUrl, "https://example.org/"),
        (re.Pattern, "a+"),
    ],
)
def test_a_format_takes_what_its_type_takes(kind: type, good: str) -> None:
    schema = TypeAdapter(kind).json_schema()
    validator = Draft202012Validator(schema, format_checker=json_formats.checker())

    assert list(validator.iter_errors(good)) == []
    assert [error.validator for error in validator.iter_errors("(not at all")] == ["format"]


def test_what_is_no_text_or_of_unknown_format_is_left_to_others() -> None:
    assert fits(5, "date-time")
    assert fits("5", "colour")
