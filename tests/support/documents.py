"""Reads the documents: their code blocks, so that tests execute them, and their links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"```\w*")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# What differs each time a command is executed: ids whole or cut, digests, times and lengths.
_VARYING = (
    (re.compile(r"[0-9a-f]{64}"), "HASH"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\u2026?\b[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\d[\d.]* (s|min)\b"), "LENGTH"),
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True)
class Block:
    """One block: its language and its text."""

    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.text.splitlines() if line.strip()]


def blocks_of(document: Path) -> list[Block]:
    """Return a document's blocks in their order.

    Raises:
        ValueError: a block is not closed, so that some text would not be executed.
    """
    text = document.read_text(encoding="utf-8")
    fences = [line.strip() for line in text.splitlines() if "```" in line]
    are_alone = all(_OPENING.fullmatch(fence) for fence in fences[::2])
    if len(fences) % 2 or not are_alone or set(fences[1::2]) - {"```"}:
        message = f"{document}: a fence of a block is missing, or does not stand on its own line."
        raise ValueError(message)
    return [Block(*groups) for groups in _BLOCK.findall(text)]


@dataclass(frozen=True)
class Command:
    """A command of a `console` block, and what it prints."""

    line: str
    output: str


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a `console` block with the output below each."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(line, output)


def steady(text: str) -> str:
    """Return an output without what differs each time."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def links_of(document: Path) -> Iterator[str]:
    """Yield the targets of a document's links to files of the repository."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    yield from (target for target in _LINK.findall(text) if "://" not in target)


def anchors_of(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }
