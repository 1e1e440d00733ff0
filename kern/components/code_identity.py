"""Whether two pieces of code that go by one name would do the same."""

import functools
from collections.abc import Iterable, Mapping
from types import CellType, FunctionType, MethodType

_DEEPEST = 6


def is_same(one: object, other: object, depth: int = 0) -> bool:
    """Whether one may stand for the other.

    Functions may if they were made by the same lines, with defaults and closures that may; other
    things if they are equal. What cannot be compared is not the same.
    """
    if one is other:
        return True
    if type(one) is not type(other) or depth > _DEEPEST:
        return False
    return _is_same(one, other, depth + 1)


# A case for each kind.
def _is_same(one: object, other: object, depth: int) -> bool:  # noqa: PLR0911
    match one, other:
        case FunctionType(), FunctionType():
            held = [one.__defaults__, one.__kwdefaults__, *(one.__closure__ or ())]
            theirs = [other.__defaults__, other.__kwdefaults__, *(other.__closure__ or ())]
            is_code = one.__code__ == other.__code__ and one.__module__ == other.__module__
            return is_code and _are_same(held, theirs, depth)
        case CellType(), CellType():
            return _are_same(_content(one), _content(other), depth)
        case MethodType(), MethodType():
            return is_same(one.__func__, other.__func__, depth) and is_same(
                one.__self__, other.__self__, depth
            )
        case functools.partial(), functools.partial():
            return _are_same(
                (one.func, one.args, one.keywords), (other.func, other.args, other.keywords), depth
            )
        case ((list() | tuple()), (list() | tuple())):
            return _are_same(one, other, depth)
        case Mapping(), Mapping():
            return one.keys() == other.keys() and all(
                is_same(value, other[key], depth) for key, value in one.items()
            )
        case _:
            return _is_equal(one, other)


def _are_same(one: Iterable[object], other: Iterable[object], depth: int) -> bool:
    ours, theirs = [*one], [*other]
    return len(ours) == len(theirs) and all(
        is_same(mine, yours, depth) for mine, yours in zip(ours, theirs, strict=True)
    )


def _content(cell: CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _is_equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  a value's own comparison may raise anything
        return False
