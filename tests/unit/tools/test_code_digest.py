"""The digest of a predicate's code: the same in another process, another for other behaviour."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kern.tools.code_digest import code_digest

SOURCE = """
from dataclasses import dataclass
LIMIT = {limit}
NAMES = {{"ann", "bob", "carla", "dana"}}
@dataclass
class Bound:
    most: int = {limit}
BOUND = Bound()
def is_large(amount):
    return amount > LIMIT
def made(limit):
    return lambda amount: amount > limit
class Judge:
    def __init__(self):
        self.limit = {limit}
    def __call__(self, amount):
        return amount > self.limit
    def judge(self, amount):
        return amount > self.limit
class Rules:
    LIMIT = {limit}
    @staticmethod
    def judge(amount):
        return amount > {limit}
predicates = {{
    "global": is_large,
    "through another function": lambda amount: is_large(amount),
    "constant": lambda amount: amount > {limit},
    "closure": made({limit}),
    "default": lambda amount, limit={limit}: amount > limit,
    "value object": lambda amount: amount > BOUND.most,
    "class attribute": lambda amount: amount > Rules.LIMIT,
    "static method": lambda amount: Rules.judge(amount),
    "callable object": Judge(),
    "bound method": Judge().judge,
    "inner function": lambda amount: (lambda: amount > {limit})(),
    "keyword default": made({limit}) and (lambda amount, *, limit={limit}: amount > limit),
}}
"""
NAMES = (
    "global",
    "through another function",
    "constant",
    "closure",
    "default",
    "value object",
    "class attribute",
    "static method",
    "callable object",
    "bound method",
    "inner function",
    "keyword default",
)


def digests(limit: int) -> dict[str, str]:
    space: dict[str, object] = {"__name__": "app"}
    exec(compile(SOURCE.format(limit=limit), "app.py", "exec"), space)  # noqa: S102  our own
    predicates = space["predicates"]
    assert isinstance(predicates, dict)
    return {name: code_digest(predicate) for name, predicate in predicates.items()}


@pytest.mark.parametrize("name", NAMES)
def test_another_limit_is_other_code_wherever_the_limit_comes_from(name: str) -> None:
    assert digests(100)[name] == digests(100)[name]
    assert digests(100)[name] != digests(101)[name]


def test_a_process_of_its_own_has_the_same_digests(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        SOURCE.format(limit=100)
        + "from kern.tools.code_digest import code_digest\n"
        + "names = lambda amount: amount in NAMES and amount in {'x', 'y', 'z'}\n"
        + "print([code_digest(item) for item in [*predicates.values(), names]])\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("code", [len, str.upper, partial(pow, 2), object(), NAMES, sys])
def test_whatever_may_be_called_has_a_digest(code: Callable[..., object]) -> None:
    assert len(code_digest(code)) == 64


def test_what_refers_to_itself_has_a_digest() -> None:
    def counts(number: int) -> bool:
        return number > 0 and counts(number - 1)

    assert len(code_digest(counts)) == 64
