"""What `kern doctor` found, and how it is printed, with the settings of the environment."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kern.client.cli.printing import one_line, say, say_json, styled

_PREFIXES = ("KERN_", "TEMPORAL_", "OPENAI_")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CERT|AUTHORIZATION|CODEC_AUTH|HEADER|META")
_IN_A_URL = re.compile(r"(?<=://).*(?=@)|(?<=\?).*")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` is None where it is neither good nor bad."""

    name: str
    ok: bool | None
    text: str


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        failed = any(finding.ok is False for finding in findings)
        checks = [{"name": check.name, "ok": check.ok, "text": check.text} for check in findings]
        say_json({"ok": not failed, "checks": checks, "environment": environment()})
    else:
        _say(findings)


def environment() -> dict[str, str]:
    """Return the settings that the environment holds, without secrets."""
    names = sorted(name for name in os.environ if name.startswith(_PREFIXES))
    return {name: masked(name, os.environ[name]) for name in names}


def masked(name: str, value: str) -> str:
    """Return a setting as it may be shown: no keys, and no user, password or options of a URL."""
    return "***" if _SECRET.search(name) and value else _IN_A_URL.sub("***", value)


def _say(findings: Sequence[Finding]) -> None:
    marks = {True: ("ok  ", "green"), False: ("FAIL", "bold red"), None: ("    ", "dim")}
    for finding in findings:
        say(styled(*marks[finding.ok]), f" {finding.name:<9} {one_line(finding.text)}")
    for name, value in environment().items():
        say(styled("    ", "dim"), f" {name}={one_line(value)}")
