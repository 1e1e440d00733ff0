"""Reads the code blocks of the documents, so that tests execute what people are told to type."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
    """Return a document's blocks in their order."""
    return [Block(*found) for found in _BLOCK.findall(document.read_text())]
