"""Images and files of a run's input."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from kern.errors import InvalidInput
from kern.run import FileReference
from kern.values import media_types
from kern.values.canonical import clean_text

__all__ = ["File", "FileContent", "Image"]

LARGEST = 20_000_000
_LONGEST_NAME = 255
# All of them are shown to the model in each turn.
_MOST = 50
_LONGEST_URL = 8_000


@dataclass(frozen=True)
class Attachment:
    """An image or a file that has been read, as it is stored.

    Two with the same `digest` are the same.
    """

    name: str
    media_type: str
    digest: str
    data: bytes = field(default=b"", repr=False)
    url: str | None = None


class FileContent(FileReference):
    """A stored file with its bytes, which are neither shown nor written out.

    An image that was given by a URL has none: Kern does not fetch it.
    """

    data: bytes = Field(default=b"", repr=False, exclude=True)


class _Media(BaseModel):
    """Bytes from a path or from memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path | None = None
    data: bytes | None = Field(default=None, repr=False)
    media_type: str | None = None
    name: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, values: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            if not isinstance(values, dict):
                # It is no mapping of fields: another class of a union may take it.
                raise
            # The input is left out, since it may be the file's bytes.
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            why = first["msg"][:1].lower() + first["msg"][1:]
            raise InvalidInput(f"{cls.__name__}: {where}: {why}.") from None

    @model_validator(mode="after")
    def _from_one_source(self) -> Self:
        present = [source for source in self._sources if getattr(self, source) is not None]
        if len(present) != 1:
            sources = "`, `".join(self._sources)
            present_text = " and ".join(present) or "nothing"
            message = f"{type(self).__name__} was given {present_text}: give one of `{sources}`."
            raise InvalidInput(message)
        if self.media_type is not None and media_types.normalized(self.media_type) is None:
            message = f"{self.media_type!r} is no media type: give one such as 'image/png'."
            raise InvalidInput(message)
        return self

    @property
    def _sources(self) -> tuple[str, ...]:
        return ("path", "data")

    @property
    def _label(self) -> str:
        """Its name in messages."""
        name = self.name or (self.path and self.path.name)
        return f"{type(self).__name__} {str(name)!r}" if name else f"The {type(self).__name__}"

    def read(self) -> Attachment:
        """Read the bytes and determine their type.

        Raises:
            InvalidInput: there is no such file, it is empty, larger than 20 MB, or its type cannot
                be determined.
        """
        data = self._bytes()
        if not data:
            message = f"{self._label} is empty: there is nothing to send."
            raise InvalidInput(message)
        if len(data) > LARGEST:
            message = f"{self._label} is larger than {LARGEST:,} bytes, which is the most."
            raise InvalidInput(message)
        media_type = self._type(data)
        fallback = f"{type(self).__name__.lower()}{media_types.extension(media_type)}"
        return Attachment(
            name=_file_name(self.name or (self.path.name if self.path else ""), fallback),
            media_type=media_type,
            digest=hashlib.sha256(data).hexdigest(),
            data=data,
        )

    def _bytes(self) -> bytes:
        if self.path is None:
            return self.data or b""
        try:
            if not self.path.is_file():
                why = "is no file" if self.path.exists() else "does not exist"
                message = f"{self._label} cannot be read: {str(self.path)!r} {why}."
                raise InvalidInput(message)
            with self.path.open("rb") as file:
                return file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            message = f"{self._label} cannot be read: {str(self.path)!r}: {why}."
            raise InvalidInput(message) from error

    def _type(self, data: bytes) -> str:
        media_type_name = media_types.normalized(self.media_type or "")
        name = self.name or (self.path.name if self.path else "")
        media_type = media_type_name or self._detect(data, media_types.from_name(name))
        if media_type is None:
            message = (
                f"{self._label}: what it is can be seen neither from its name nor from its bytes. "
                "Give `media_type`."
            )
            raise InvalidInput(message)
        return media_type

    @abstractmethod
    def _detect(self, data: bytes, by_name: str | None) -> str | None: ...


class Image(_Media):
    """An image for the model to look at.

    Args:
        path: The file.
        data: Its bytes, instead.
        url: Its address on the web, instead: the provider fetches it, Kern does not.
        media_type: Its media type, such as `image/png`; default: determined by bytes or name.
        name: Its name; default: the file's.

    Raises:
        InvalidInput: not exactly one of `path`, `data` and `url` is given, or one makes no sense.
    """

    url: str | None = None

    @property
    def _sources(self) -> tuple[str, ...]:
        return ("path", "data", "url")

    @model_validator(mode="after")
    def _on_the_web(self) -> Self:
        if self.url is None:
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            message = (
                "The url of an Image begins with 'https://' or 'http://'. Give the bytes of "
                "anything else as `data`."
            )
            raise InvalidInput(message)
        if len(self.url) > _LONGEST_URL or clean_text(self.url) != self.url:
            message = (
                f"The url of an Image has up to {_LONGEST_URL:,} characters, all of them text."
            )
            raise InvalidInput(message)
        return self

    def read(self) -> Attachment:
        """Read the bytes, unless it is a URL, and determine their type.

        Raises:
            InvalidInput: there is no such file, it is empty, larger than 20 MB, or no image.
        """
        if self.url is None:
            return super().read()
        last = PurePosixPath(unquote(urlsplit(self.url).path)).name
        by_name = media_types.from_name(last) or ""
        fallback = by_name if by_name.startswith("image/") else "image/*"
        return Attachment(
            name=_file_name(self.name or last, "image"),
            media_type=media_types.normalized(self.media_type or "") or fallback,
            # No file's digest looks like this.
            digest=f"url:{hashlib.sha256(self.url.encode()).hexdigest()}",
            url=self.url,
        )

    def _type(self, data: bytes) -> str:
        media_type = super()._type(data)
        if not media_type.startswith("image/"):
            message = f"{self._label} is no image but {media_type}: pass it in `files`, as a File."
            raise InvalidInput(message)
        return media_type

    def _detect(self, data: bytes, by_name: str | None) -> str | None:
        by_bytes = media_types.from_bytes(data)
        # The bytes decide: what a browser saved as .png may be another format. Only for text the
        # name says more.
        return by_name or by_bytes if by_bytes in {None, "text/plain"} else by_bytes


class File(_Media):
    """A document for the model to read.

    Args:
        path: The file.
        data: Its bytes, instead.
        media_type: Its media type, such as `application/pdf`; default: determined by name or bytes.
        name: Its name; default: the file's.

    Raises:
        InvalidInput: not exactly one of `path` and `data` is given, or one makes no sense.
    """

    def _detect(self, data: bytes, by_name: str | None) -> str | None:
        return by_name or media_types.from_bytes(data)


def collect(
    images: Sequence[Image] | None, files: Sequence[File] | None
) -> tuple[Image | File, ...]:
    """Return the images and files of an input, images first.

    Raises:
        InvalidInput: one of them is something else, or they are more than 50.
    """
    media = (
        *_require_all("images", Image, images or ()),
        *_require_all("files", File, files or ()),
    )
    if len(media) > _MOST:
        message = f"A run takes up to {_MOST} images and files together, not {len(media):,}."
        raise InvalidInput(message)
    return media


def read_all(media: Sequence[Image | File]) -> list[Attachment]:
    """Read the images and files of an input. Raises as `Image.read`."""
    return [item.read() for item in media]


def _require_all(
    name: Literal["images", "files"], kind: type[Image | File], value: Sequence[object]
) -> tuple[Image | File, ...]:
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    media = tuple(item for item in items if isinstance(item, kind))
    if isinstance(value, list | tuple) and len(media) == len(items):
        return media
    wrong = next((item for item in items if not isinstance(item, kind)), value)
    message = (
        f"{name} takes a list of {kind.__name__}, not {type(wrong).__name__}: write "
        f"{name}=[{kind.__name__}(path=…)]."
    )
    raise InvalidInput(message)


def _file_name(name: str, fallback: str) -> str:
    """Return a name without folders and line breaks."""
    last = PurePosixPath(clean_text(name).replace("\\", "/")).name
    printable = "".join(letter if letter.isprintable() else " " for letter in last).strip()
    return fallback if printable in {"", ".", ".."} else printable[-_LONGEST_NAME:]
