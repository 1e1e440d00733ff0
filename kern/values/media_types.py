"""Finds out what a file is: from its name, or from the bytes with which it begins."""

import mimetypes
import re

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")

# Without the machine's own lists, so that the same file has the same type everywhere.
_TYPES = mimetypes.MimeTypes()
_OFFICE = "application/vnd.openxmlformats-officedocument"
for _extension, _type in {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".avif": "image/avif",
    ".md": "text/markdown",
    ".log": "text/plain",
    ".jsonl": "application/jsonl",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".sql": "application/sql",
}.items():
    _TYPES.add_type(_type, _extension)

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
)
_TEXTS = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/xml",
        "application/yaml",
        "application/toml",
        "application/sql",
        "application/javascript",
        "application/x-sh",
    }
)


def normalized(media_type: str) -> str | None:
    """Return a media type in lower case, without parameters; None if it is none."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else None


def from_name(name: str) -> str | None:
    """Return the media type that a file's name implies."""
    media_type, compression = _TYPES.guess_type(name.rpartition("/")[2], strict=False)
    return f"application/{compression}" if compression else media_type


def from_bytes(data: bytes) -> str | None:
    """Return the media type that a file's first bytes imply, if any.

    UTF-8 without a zero byte is text.
    """
    for beginning, media_type in _BEGINNINGS:
        if data.startswith(beginning):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:12] in {b"ftypavif", b"ftypheic"}:
        return f"image/{data[8:12].decode()}"
    return "text/plain" if _is_text(data) else None


def is_text(media_type: str) -> bool:
    """Whether a file of this type can be shown to a model as it is."""
    return (
        media_type.startswith("text/")
        or media_type in _TEXTS
        or media_type.endswith(("+json", "+xml"))
    )


def extension(media_type: str) -> str:
    """Return the file extension of this type."""
    return _TYPES.guess_extension(media_type, strict=False) or ""


def _is_text(data: bytes) -> bool:
    try:
        return "\x00" not in data.decode()
    except UnicodeDecodeError:
        return False
