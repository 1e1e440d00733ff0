"""The digest of plain data, however much there is: containers of texts, numbers and the like."""

import hashlib
from collections.abc import Collection
from typing import Any, cast

_ATOMS: tuple[Any, ...] = (bool, int, float, str, bytes, complex, type(None), type(...))
_DEEPEST = 100


class _NotPlainError(Exception):
    """Something in a container is no plain value."""


def plain_digest(value: object) -> str | None:
    """Return the digest of a container that holds plain values only; None for anything else.

    The order of sets and dictionaries means nothing.
    """
    if type(value) not in {dict, list, tuple, set, frozenset}:
        return None
    try:
        return _digest(value, {}, 0)
    except _NotPlainError:
        return None


def _digest(value: object, digests: dict[int, str | None], depth: int) -> str:
    """Return the digest of a container; `digests` has those that it shares with others, by id."""
    earlier = digests.get(id(value), "")
    if earlier is None or depth > _DEEPEST:
        # It holds itself, or may do so.
        raise _NotPlainError
    if earlier:
        return earlier
    digests[id(value)] = None
    # A copy, since another thread may change it.
    if isinstance(value, dict):
        pairs = [[*pair] for pair in [*value.items()]]
        parts = sorted("".join(_text(item, digests, depth) for item in pair) for pair in pairs)
    else:
        parts = [_text(item, digests, depth) for item in [*cast("Collection[object]", value)]]
        parts = sorted(parts) if isinstance(value, set | frozenset) else parts
    digest = hashlib.sha256(type(value).__name__.encode())
    for part in parts:
        digest.update(part.encode("utf-8", "backslashreplace"))
    digests[id(value)] = digest.hexdigest()
    return digest.hexdigest()


def _text(value: object, digests: dict[int, str | None], depth: int) -> str:
    kind = type(value)
    if kind in _ATOMS:
        text = f"{kind.__name__} {value!r}"
    elif kind in {dict, list, tuple, set, frozenset}:
        text = _digest(value, digests, depth + 1)
    else:
        raise _NotPlainError
    # The length, so that no text reads like two.
    return f"{len(text)}:{text}"
