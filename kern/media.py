"""Images and files that come with a run's input, as users write them."""

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
_LONGEST_URL = 8_000


@dataclass(frozen=True)
class Attachment:
    """What is stored of an image or a file: it has been read, and its type is known.

    `digest` tells whether two are the same.
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
    def _accepted(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            if not isinstance(given, dict):
                # It is something else, which another kind may take.
                raise
            # Not with the value, which may be the file's bytes.
            wrong = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in wrong["loc"])
            why = wrong["msg"][:1].lower() + wrong["msg"][1:]
            raise InvalidInput(f"{cls.__name__}: {where}: {why}.") from None

    @model_validator(mode="after")
    def _from_one_source(self) -> Self:
        given = [one for one in self._sources if getattr(self, one) is not None]
        if len(given) != 1:
            sources = "`, `".join(self._sources)
            said = " and ".join(given) or "nothing"
            message = f"{type(self).__name__} was given {said}: give one of `{sources}`."
            raise InvalidInput(message)
        if self.media_type is not None and media_types.written(self.media_type) is None:
            message = f"{self.media_type!r} is no media type: give one such as 'image/png'."
            raise InvalidInput(message)
        return self

    @property
    def _sources(self) -> tuple[str, ...]:
        return ("path", "data")

    @property
    def _what(self) -> str:
        """What messages call it."""
        name = self.name or (self.path and self.path.name)
        return f"{type(self).__name__} {str(name)!r}" if name else f"The {type(self).__name__}"

    def read(self) -> Attachment:
        """Read the bytes and find out what they are.

        Raises:
            InvalidInput: there is no such file, it is empty, larger than 20 MB, or its type cannot
                be found out.
        """
        data = self._bytes()
        if not data:
            message = f"{self._what} is empty: there is nothing to send."
            raise InvalidInput(message)
        if len(data) > LARGEST:
            message = f"{self._what} is larger than {LARGEST:,} bytes, which is the most."
            raise InvalidInput(message)
        media_type = self._type(data)
        spare = f"{type(self).__name__.lower()}{media_types.extension(media_type)}"
        return Attachment(
            name=_file_name(self.name or (self.path.name if self.path else ""), spare),
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
                message = f"{self._what} cannot be read: {str(self.path)!r} {why}."
                raise InvalidInput(message)
            with self.path.open("rb") as file:
                return file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            message = f"{self._what} cannot be read: {str(self.path)!r}: {why}."
            raise InvalidInput(message) from error

    def _type(self, data: bytes) -> str:
        given = media_types.written(self.media_type or "")
        name = self.name or (self.path.name if self.path else "")
        found = given or self._told(data, media_types.from_name(name))
        if found is None:
            message = (
                f"{self._what}: what it is can be seen neither from its name nor from its bytes. "
                "Give `media_type`."
            )
            raise InvalidInput(message)
        return found

    @abstractmethod
    def _told(self, data: bytes, by_name: str | None) -> str | None: ...


class Image(_Media):
    """An image for the model to look at.

    Args:
        path: The file.
        data: Its bytes, instead.
        url: Where it is on the web, instead: the provider fetches it, Kern does not.
        media_type: What it is, such as `image/png`; default: found from the bytes or the name.
        name: What it is called; default: the file's name.

    Raises:
        InvalidInput: not one of `path`, `data` and `url` was given, or one makes no sense.
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
        """Read the bytes, unless it is a URL, and find out what they are.

        Raises:
            InvalidInput: there is no such file, it is empty, larger than 20 MB, or no image.
        """
        if self.url is None:
            return super().read()
        last = PurePosixPath(unquote(urlsplit(self.url).path)).name
        by_name = media_types.from_name(last) or ""
        known = by_name if by_name.startswith("image/") else "image/*"
        return Attachment(
            name=_file_name(self.name or last, "image"),
            media_type=media_types.written(self.media_type or "") or known,
            # No file's digest looks like this.
            digest=f"url:{hashlib.sha256(self.url.encode()).hexdigest()}",
            url=self.url,
        )

    def _type(self, data: bytes) -> str:
        found = super()._type(data)
        if not found.startswith("image/"):
            message = f"{self._what} is no image but {found}: pass it in `files`, as a File."
            raise InvalidInput(message)
        return found

    def _told(self, data: bytes, by_name: str | None) -> str | None:
        by_bytes = media_types.from_bytes(data)
        # Names of pictures lie: what a browser saved as .png may be anything. Only of text the
        # bytes tell less than the name.
        return by_name or by_bytes if by_bytes in {None, "text/plain"} else by_bytes


class File(_Media):
    """A document for the model to read.

    Args:
        path: The file.
        data: Its bytes, instead.
        media_type: What it is, such as `application/pdf`; default: found from the name or the
            bytes.
        name: What it is called; default: the file's name.

    Raises:
        InvalidInput: not one of `path` and `data` was given, or one makes no sense.
    """

    def _told(self, data: bytes, by_name: str | None) -> str | None:
        return by_name or media_types.from_bytes(data)


def given(images: Sequence[Image] | None, files: Sequence[File] | None) -> tuple[Image | File, ...]:
    """Return what came with an input, images first.

    Raises:
        InvalidInput: one of them is something else.
    """
    return (*_all("images", Image, images or ()), *_all("files", File, files or ()))


def read_all(media: Sequence[Image | File]) -> list[Attachment]:
    """Read everything that came with an input. Raises as `Image.read`."""
    return [one.read() for one in media]


def _all(
    what: Literal["images", "files"], kind: type[Image | File], said: Sequence[object]
) -> tuple[Image | File, ...]:
    items = tuple(said) if isinstance(said, list | tuple) else (said,)
    found = tuple(one for one in items if isinstance(one, kind))
    if isinstance(said, list | tuple) and len(found) == len(items):
        return found
    strange = next((one for one in items if not isinstance(one, kind)), said)
    message = (
        f"{what} takes a list of {kind.__name__}, not {type(strange).__name__}: write "
        f"{what}=[{kind.__name__}(path=…)]."
    )
    raise InvalidInput(message)


def _file_name(name: str, spare: str) -> str:
    """Return a name without folders and line breaks."""
    last = PurePosixPath(clean_text(name).replace("\\", "/")).name
    printable = "".join(letter if letter.isprintable() else " " for letter in last).strip()
    return spare if printable in {"", ".", ".."} else printable[-_LONGEST_NAME:]
