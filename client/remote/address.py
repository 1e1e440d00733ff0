"""Where the API is, and the token for it: from the settings, and checked once."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kern.errors import InvalidInput
from kern.process.settings import Settings, read_settings

URL_VARIABLE = "KERN_API_URL"
_HINT = "Make one with `kern token create` on a machine with the database, or ask an administrator."


@dataclass(frozen=True)
class Address:
    """An API, and what lets in there.

    Attributes:
        url: Its address, without `/v1`.
        token: The secret, which is shown nowhere.
    """

    url: str
    token: str = field(repr=False)


def configured_address(settings: Settings | None = None) -> Address:
    """Return the API that the settings name.

    Raises:
        InvalidInput: the address or the token cannot be used; the message never has the token.
    """
    settings = settings or read_settings()
    if not settings.api_url:
        message = f"{URL_VARIABLE} is not set: name the address of `kern serve`."
        raise InvalidInput(message)
    return Address(_url(settings.api_url), _token(settings))


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        problem = _problem_of(parts.scheme, parts.hostname, parts.port)
    except ValueError:
        parts, problem = urlsplit(""), "it is no address"
    if not problem and (parts.username is not None or parts.password is not None):
        # It would be in every message; so it is repeated in none.
        message = (
            f"{URL_VARIABLE} has a user or a password in it. Leave them out: the token lets in."
        )
        raise InvalidInput(message)
    if not problem and (parts.query or parts.fragment):
        problem = "it has a query or a fragment"
    if problem:
        message = (
            f"{URL_VARIABLE} is {text!r}: {problem}. Use the address of `kern serve`, such as "
            "https://kern.example.com."
        )
        raise InvalidInput(message)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def _problem_of(scheme: str, host: str | None, port: int | None) -> str:
    if scheme not in {"http", "https"}:
        return "it does not begin with http:// or https://"
    return "" if host and port != 0 else "it names no machine"


def _token(settings: Settings) -> str:
    if settings.api_token is not None:
        return _checked(settings.api_token.get_secret_value(), "KERN_API_TOKEN")
    if settings.api_token_file is not None:
        return _checked(_read(settings.api_token_file), "KERN_API_TOKEN_FILE")
    message = (
        f"{URL_VARIABLE} is set, and no token: set KERN_API_TOKEN, or KERN_API_TOKEN_FILE to a "
        f"file that holds one. {_HINT}"
    )
    raise InvalidInput(message)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        message = f"KERN_API_TOKEN_FILE is {str(path)!r}, which cannot be read: {why}. {_HINT}"
        raise InvalidInput(message) from None


def _checked(text: str, variable: str) -> str:
    token = text.strip()
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    problem = "is empty" if not token else "has characters that no token has"
    raise InvalidInput(f"The token of {variable} {problem}. {_HINT}")
