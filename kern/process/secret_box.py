"""Encrypts the secrets that have to be used again, so that a copy of the database has none of them.

The key is `KERN_SECRET_KEY`; an installation in a folder makes one for itself, in a file beside its
database that only its owner reads.
"""

import base64
import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from kern.errors import Conflict, InvalidInput
from kern.process.settings import Settings

_FILE = "secret.key"
_LEAST = 32


class SecretBox:
    """Encrypts and decrypts with the key of an installation.

    Args:
        settings: Kern's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def encrypt(self, text: str) -> str:
        """Return a text as it may be kept.

        Raises:
            InvalidInput: there is no key, or it is too short.
        """
        from cryptography.fernet import Fernet  # noqa: PLC0415  slow to import, seldom needed

        return Fernet(self._key()).encrypt(text.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Return the text that was kept.

        Raises:
            InvalidInput: as `encrypt`.
            Conflict: it was encrypted with another key.
        """
        from cryptography.fernet import Fernet, InvalidToken  # noqa: PLC0415  as above

        try:
            return Fernet(self._key()).decrypt(encrypted.encode()).decode()
        except InvalidToken:
            message = (
                "A secret was encrypted with another key than the present KERN_SECRET_KEY: set "
                "that one again, or remove what uses the secret and add it anew."
            )
            raise Conflict(message) from None

    def _key(self) -> bytes:
        configured = self._settings.secret_key
        text = self._own_key() if configured is None else configured.get_secret_value()
        if len(text) < _LEAST:
            message = (
                f"KERN_SECRET_KEY has {len(text)} characters: use {_LEAST} or more at random, such "
                "as `openssl rand -base64 32` prints."
            )
            raise InvalidInput(message)
        return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())

    def _own_key(self) -> str:
        if self._settings.database_url is not None:
            message = (
                "Secrets are encrypted, and there is no key: set KERN_SECRET_KEY to 32 characters "
                "or more at random, the same for all processes, such as `openssl rand -base64 32` "
                "prints. Keep it apart from the database."
            )
            raise InvalidInput(message)
        path = self._settings.home / _FILE
        if not path.exists():
            _make(path)
        return path.read_text(encoding="utf-8")


def _make(path: Path) -> None:
    """Make the file as a whole, or leave the one that another process has made meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
