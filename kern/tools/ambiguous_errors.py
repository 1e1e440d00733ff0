"""Which exceptions leave open whether a request had its effect.

A payment that was sent, and whose answer did not arrive, may have been made. What a client library
raises then looks like any other failure. So its classes and codes are listed, in
`error_classes.py`. An exception counts with those that it was raised from or during, since clients
wrap one another's errors. `from None` hides nothing: the author's code may have sent.

An exception is *open* if the request was sent, or partly, and there is no answer. It is *unsent* if
the connection was never made, and *answered* if the other side has said no. *Wrappers* say nothing
of it, and what they carry decides; on their own they leave it open. So does an exception that no
table knows, if its name speaks of timeouts or lost connections (*named*).

Code that tries again by hand chains its attempts: the error of the second was raised while that of
the first was handled. That the second was not sent says nothing of the first. So an unsent error
answers for the wrappers around it, and for what explains it: clients raise `ConnectTimeout` from a
`TimeoutError`. What lies beyond belongs to an earlier attempt, and counts in full.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from kern.process.foreign_errors import (
    arguments_of,
    attribute,
    cause_of,
    context_of,
    guarded,
    is_error,
    members_of,
    module_of,
    name_of,
    text_of,
)
from kern.tools.error_classes import (
    ANSWERED,
    CARRIERS,
    CODES,
    ERRNOS_OPEN,
    NAMES,
    OPEN,
    ROOTS,
    UNSENT,
    UNSENT_TEXTS,
    WRAPPERS,
    Code,
)

# Where a connection could not be made, the errors of these say how, and not that anything was sent.
_SYSTEM = frozenset({"builtins", "socket", "_socket", "ssl", "_ssl", "asyncio"})
_STREAMS = frozenset({"http", "anyio", "concurrent"})
_CLIENTS = frozenset({"urllib3", "httpcore", "httpcore2"})
# Raised, and handled, within one attempt to connect.
_INTERNAL = frozenset(
    {"CancelledError", "SSLWantReadError", "SSLWantWriteError", "BlockingIOError"}
)
# The first table that names a class says its kind.
_TABLES = (("unsent", UNSENT), ("open", OPEN), ("answered", ANSWERED), ("wrapper", WRAPPERS))
_WRAPPING = frozenset({"wrapper", "named"})
_CODES_OF_ANY = [code for code in CODES if not code.package]
_MOST = 1000


@dataclass(frozen=True)
class _Link:
    """An exception in its place within a chain.

    Attributes:
        error: The exception.
        explains: Whether an unsent error was raised from it or during it.
        wrappers: The ids of the wrappers around it, within the same attempt.
    """

    error: BaseException
    explains: bool = False
    wrappers: frozenset[int] = frozenset()


def leaves_open(error: BaseException) -> bool:
    """Whether it is open, by the nature of an exception, if what the code wanted has happened."""
    queue, visits = deque([_Link(error)]), set[tuple[int, bool, frozenset[int]]]()
    wrapper_ids, unsent_ids = set[int](), set[int]()
    while queue:
        link = queue.popleft()
        key = (id(link.error), link.explains, link.wrappers)
        if key in visits:
            continue
        if len(visits) >= _MOST:
            return True
        visits.add(key)
        kind = _kind_of(link.error)
        if link.explains and _can_explain(link.error, kind):
            queue += _beyond_unsent(link.error)
        elif kind == "open":
            return True
        elif kind == "unsent":
            unsent_ids |= link.wrappers
            queue += _beyond_unsent(link.error)
        else:
            if kind in _WRAPPING:
                wrapper_ids.add(id(link.error))
            queue += _within(link, kind)
    return bool(wrapper_ids - unsent_ids)


def _within(link: _Link, kind: str | None) -> list[_Link]:
    """Return what an exception carries, and what it was raised from or during."""
    wrappers = link.wrappers | {id(link.error)} if kind in _WRAPPING else link.wrappers
    carried = [_Link(part, wrappers=wrappers) for part in _carried(link.error)]
    context = context_of(link.error)
    if context is None:
        return carried
    return [*carried, _Link(context, wrappers=link.wrappers if kind == "named" else wrappers)]


def _can_explain(error: BaseException, kind: str | None) -> bool:
    """Whether a client may have raised, because of this error, one that says: nothing was sent."""
    package = _package(type(error))
    if package in _CLIENTS:
        return kind != "open"
    if package == "builtins":
        return issubclass(type(error), (OSError, EOFError, BaseExceptionGroup))
    return package in _SYSTEM | _STREAMS


def _beyond_unsent(error: BaseException) -> list[_Link]:
    """Return what lies beyond an unsent error, or beyond what explains it.

    A client says in its errors what they were raised from, or raises them while it handles that.
    The system does not: its errors were raised while that of an earlier attempt was handled.
    """
    name, context = name_of(type(error)), context_of(error)
    carried = _carried(error)
    has_explanation = all(name_of(cls) not in ROOTS for cls in type(error).__mro__)
    links = [_Link(part, explains=has_explanation) for part in carried]
    if context is not None and all(part is not context for part in carried):
        if _package(type(error)) in _SYSTEM:
            is_within = name_of(type(context)) in _INTERNAL and name not in _INTERNAL
        else:
            is_within = cause_of(error) is None
        links.append(_Link(context, explains=has_explanation and is_within))
    return links


def _kind_of(error: BaseException) -> str | None:
    """Return the kind of an exception; None for one that says nothing of it."""
    by_class = _by_class(error)
    return by_class if by_class == "unsent" else _by_code(error) or by_class


def _by_code(error: BaseException) -> str | None:
    """Return the kind of an exception that carries a code of its protocol."""
    packages = {_package(cls) for cls in type(error).__mro__}
    known = [code for code in CODES if code.package in packages]
    return _first_kind(error, known) or _first_kind(error, _CODES_OF_ANY)


def _first_kind(error: BaseException, codes: Iterable[Code]) -> str | None:
    kinds = {_meaning(code, guarded(partial(_value_at, error, code.path), None)) for code in codes}
    return next((kind for kind in ("unsent", "open", "answered") if kind in kinds), None)


def _meaning(code: Code, value: object) -> str | None:
    if _is_among(value, code.unsent):
        return "unsent"
    if _is_among(value, code.open):
        return "open"
    return "answered" if code.is_final and isinstance(value, int | str) else None


def _is_among(value: object, codes: Collection[int | str]) -> bool:
    if isinstance(value, str):
        return value.startswith(tuple(code for code in codes if isinstance(code, str)))
    return isinstance(value, int) and not isinstance(value, bool) and value in codes


def _value_at(error: BaseException, path: str) -> object:
    value: object = error
    for part in path.split("."):
        name = part.removesuffix("()")
        if value is error and name == "args":
            value = arguments_of(error)
        elif isinstance(value, tuple):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, Mapping) else attribute(value, name)
        if name != part and callable(value):
            value = value()
    return value


def _by_class(error: BaseException) -> str | None:
    classes = type(error).__mro__
    for cls in classes:
        package, name = _package(cls), name_of(cls)
        texts = UNSENT_TEXTS.get(package)
        if texts is not None and texts.match(text_of(error)):
            return "unsent"
        for kind, table in _TABLES:
            if name in table.get(package, ()):
                return kind
        if cls is OSError and _is_among(attribute(error, "errno"), ERRNOS_OPEN):
            return "open"
    names = [name_of(cls) for cls in classes]
    return next((kind for kind, name in NAMES if any(map(name.search, names))), None)


def exceptions_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and all that it carries or was raised from or during, outermost first."""
    queue, visits = deque([error]), set[int]()
    while queue and len(visits) < _MOST:
        part = queue.popleft()
        if id(part) in visits:
            continue
        visits.add(id(part))
        yield part
        queue += _beneath(part)


def _carried(error: BaseException) -> list[BaseException]:
    """Return the exceptions that an exception names: its parts, arguments, reason and cause."""
    items = [
        *members_of(error),
        *arguments_of(error),
        *(attribute(error, name) for name in CARRIERS),
        cause_of(error),
    ]
    return [item for item in map(_result_of, items) if is_error(item)]


def _result_of(value: object) -> object:
    """Return what a future that has ended raised, or any other value as it is."""
    if not issubclass(type(value), Future):
        return value
    read = attribute(value, "exception")
    return guarded(partial(read, timeout=0), None) if callable(read) else None


def _beneath(error: BaseException) -> list[BaseException]:
    # The context counts although `from None` or a cause hides it from the traceback.
    context = context_of(error)
    return [*_carried(error), *([] if context is None else [context])]


def _package(cls: type) -> str:
    return module_of(cls).partition(".")[0]
