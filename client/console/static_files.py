"""The console's static files, under addresses that change with their content."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kern.client.console.addresses import STATIC

_FOLDER = Path(__file__).with_name("static")
_KERN = "Apache-2.0"
# What is served, its content type, and its licence. htmx's text is in `htmx.LICENSE.txt`.
_FILES = {
    "style.css": ("text/css; charset=utf-8", _KERN),
    "icon.svg": ("image/svg+xml", _KERN),
    "desk.js": ("text/javascript; charset=utf-8", _KERN),
    "htmx.min.js": ("text/javascript; charset=utf-8", "0BSD"),
}
_DIGEST_LENGTH = 16
# Their addresses change with their content.
STATIC_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=31536000, immutable",
}


@dataclass(frozen=True)
class StaticFile:
    """A file that every page may name. Its address never serves anything else.

    Attributes:
        name: Its name in the folder, such as `style.css`.
        url: Its address, which holds the beginning of its digest.
        digest: The SHA-256 of its content, in hex.
        licence: Its licence, as SPDX names it.
    """

    name: str
    url: str
    content_type: str
    digest: str
    licence: str
    content: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """Return the files by their addresses."""
    files = [_read(name, *about) for name, about in _FILES.items()]
    return {file.url: file for file in files}


@cache
def static_url(name: str) -> str:
    """Return the address of a file by its name.

    Raises:
        KeyError: there is no such file.
    """
    return {file.name: file.url for file in static_files().values()}[name]


def _read(name: str, content_type: str, licence: str) -> StaticFile:
    content = (_FOLDER / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    stem, _, suffix = name.rpartition(".")
    url = f"{STATIC}{stem}.{digest[:_DIGEST_LENGTH]}.{suffix}"
    return StaticFile(name, url, content_type, digest, licence, content)
