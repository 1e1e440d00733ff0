"""Reads what an object holds, for digests: only what is the same in every process."""

import functools
import io
import uuid
import weakref
from collections.abc import ItemsView, Iterable, KeysView, ValuesView
from contextvars import Context, ContextVar
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)

from kern.process.foreign_errors import guarded

# Stands for what cannot be read: the digest is then another one in every process.
DOUBT = uuid.uuid4().hex
_OFFSETS = frozenset({"__vectorcalloffset__", "__dictoffset__", "__weaklistoffset__"})
# Objects that live in a process: what they hold changes with their use.
_LIVE = {
    *("_thread", "threading", "_asyncio", "asyncio", "concurrent", "multiprocessing", "queue"),
    *("_io", "io", "socket", "_socket", "ssl", "_ssl", "select", "selectors", "subprocess"),
    *("logging", "weakref", "_weakref", "_weakrefset", "contextvars", "_contextvars"),
    *("random", "_random", "_queue", "_abc", "_sqlite3", "sqlite3", "tempfile", "mmap"),
}
_MOST_PARTS = 200
_DEEPEST = 4


def is_live(value: object) -> bool:
    """Whether an object is a lock, logger, socket, file or the like."""
    kinds = type(value).__mro__[:-1]
    return any(kind.__module__.partition(".")[0] in _LIVE for kind in kinds)


# A case for each kind.
def held(value: object) -> list[object] | None:  # noqa: C901, PLR0911
    """Return what an object holds that has no attributes for it; None for any other object."""
    doubt: list[object] = [DOUBT]
    match value:
        case ContextVar():
            return [value.name, guarded(lambda: Context().run(value.get), None), value.get(None)]
        case weakref.ReferenceType():
            return [value()]
        case weakref.WeakValueDictionary() | weakref.WeakKeyDictionary():
            return [dict(value)]
        case weakref.WeakSet():
            return [set(value)]
        case GeneratorType():
            return [value.gi_code, *_frame(value.gi_frame)]
        case CoroutineType():
            return [value.cr_code, *_frame(value.cr_frame)]
        case AsyncGeneratorType():
            return [value.ag_code, *_frame(value.ag_frame)]
        case memoryview():
            return guarded(lambda: [value.tobytes(), value.format], doubt)
        case io.StringIO() | io.BytesIO():
            return guarded(lambda: [value.getvalue(), value.tell()], doubt)
        case KeysView() | ItemsView() | ValuesView() if type(value).__module__ == "builtins":
            return [[*value]]
        case _:
            return None


def holds_live(value: object) -> bool:
    """Whether an object holds something live, itself or in the objects that it is made of."""
    level, count = [value], 0
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for item in level:
            parts = _parts(item)
            count += len(parts)
            if count > _MOST_PARTS:
                return any(map(is_live, parts[:_MOST_PARTS]))
            if any(is_live(part) for part in parts):
                return True
            inner += parts
        level = inner
    return False


def attributes(value: object) -> dict[str, object]:
    """Return the attributes of an object by name, in slots too, without what it caches."""
    namespace = getattr(value, "__dict__", None)
    state: dict[str, object] = dict(namespace) if isinstance(namespace, dict) else {}
    for kind in type(value).__mro__:
        for name, member in vars(kind).items():
            if name in _OFFSETS:
                # Where C has it in memory: another place in each process.
                continue
            if isinstance(member, MemberDescriptorType) and name not in state:
                state |= _slot(value, name, member)
            elif isinstance(member, functools.cached_property):
                state.pop(name, None)
    return state


def reduced(value: object) -> list[object] | None:
    """Return what an object's own `__reduce_ex__` makes of it, or None where it has no state."""
    try:
        parts = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001  pickling may be code of the user's, and raise anything
        return None
    if isinstance(parts, str):
        return [parts]
    first, items, entries = parts[:3], *(*parts[3:5], None, None)[:2]
    return [*first, [*items] if items is not None else None, [*entries] if entries else None]


def has_reducer(kind: type) -> bool:
    """Whether a class, or one that it derives from, is written in C and pickles itself."""
    reducers: list[object] = [kind.__reduce__, kind.__reduce_ex__]
    is_default = reducers == [object.__reduce__, object.__reduce_ex__]
    return not is_default and not any(isinstance(item, FunctionType) for item in reducers)


def _frame(frame: FrameType | None) -> list[object]:
    """Return where the code of a generator stands, and with which values."""
    return [] if frame is None else [frame.f_lasti, dict(frame.f_locals)]


def _slot(value: object, name: str, member: MemberDescriptorType) -> dict[str, object]:
    try:
        return {name: member.__get__(value, type(value))}
    except AttributeError:
        return {}


def _parts(value: object) -> list[object]:
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = [*value.values()]
    elif isinstance(value, list | tuple):
        inner = value
    elif not isinstance(value, FunctionType | MethodType | ModuleType | type):
        inner = attributes(value).values()
    atoms = (bool, int, float, str, bytes, type(None), type, FunctionType, MethodType, ModuleType)
    return [part for part in inner if not isinstance(part, atoms)]
