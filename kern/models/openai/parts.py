"""What a user said and showed, in parts that either protocol spells in its own way."""

import base64
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from kern.media import FileContent
from kern.run import FileReference, Message
from kern.values.canonical import clean_text
from kern.values.media_types import is_text


@dataclass(frozen=True)
class Text:
    """Words, or a file that consists of them."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An image: where it is, or itself as a data URL."""

    url: str


@dataclass(frozen=True)
class Document:
    """Another file, as a data URL."""

    name: str
    url: str


Part = Text | Picture | Document


def content_of(message: Message, to_part: Callable[[Part], dict[str, JsonValue]]) -> JsonValue:
    """Return the content of a user's message: a text, or a list of parts if it has files."""
    if not message.files:
        return clean_text(message.content)
    return [to_part(part) for part in parts_of(message)]


def parts_of(message: Message) -> Iterator[Part]:
    """Yield the text of a message, if there is one, and each of its files."""
    if message.content:
        yield Text(clean_text(message.content))
    for file in message.files:
        yield _part(file)


def _part(file: FileReference) -> Part:
    if file.url is not None:
        return Picture(file.url)
    if not isinstance(file, FileContent):
        return Text(f"[File {file.name}: {file.media_type}, {file.size} bytes]")
    if is_text(file.media_type):
        # Few servers take text in a file, and all take it as text.
        return Text(f"[File {file.name}]\n{_decoded(file.data)}")
    encoded = base64.b64encode(file.data).decode()
    url = f"data:{file.media_type};base64,{encoded}"
    return Picture(url) if file.media_type.startswith("image/") else Document(file.name, url)


def _decoded(data: bytes) -> str:
    """Read text as what it says that it is, else as UTF-8, else as what older programs write."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return clean_text(data.decode("utf-16", "replace"))
    try:
        return clean_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return clean_text(data.decode("cp1252", "replace"))
