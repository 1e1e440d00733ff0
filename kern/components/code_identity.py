"""Compares pieces of code that have the same name: may one replace the other?"""

import functools
from collections.abc import Iterable, Mapping
from types import CellType, FunctionType, MethodType

_DEEPEST = 6


def is_same(first: object, second: object, depth: int = 0) -> bool:
    """Whether one may replace the other.

    Functions may if they were made by the same lines, with defaults and closures that may; other
    objects if they are equal. What cannot be compared is not the same.
    """
    if first is second:
        return True
    if type(first) is not type(second) or depth > _DEEPEST:
        return False
    return _is_same(first, second, depth + 1)


# A case for each kind.
def _is_same(first: object, second: object, depth: int) -> bool:  # noqa: PLR0911
    match first, second:
        case FunctionType(), FunctionType():
            first_values = [first.__defaults__, first.__kwdefaults__, *(first.__closure__ or ())]
            second_values = [
                second.__defaults__,
                second.__kwdefaults__,
                *(second.__closure__ or ()),
            ]
            is_code = first.__code__ == second.__code__ and first.__module__ == second.__module__
            return is_code and _are_same(first_values, second_values, depth)
        case CellType(), CellType():
            return _are_same(_content(first), _content(second), depth)
        case MethodType(), MethodType():
            return is_same(first.__func__, second.__func__, depth) and is_same(
                first.__self__, second.__self__, depth
            )
        case functools.partial(), functools.partial():
            return _are_same(
                (first.func, first.args, first.keywords),
                (second.func, second.args, second.keywords),
                depth,
            )
        case ((list() | tuple()), (list() | tuple())):
            return _are_same(first, second, depth)
        case Mapping(), Mapping():
            return first.keys() == second.keys() and all(
                is_same(value, second[key], depth) for key, value in first.items()
            )
        case _:
            return _is_equal(first, second)


def _are_same(first: Iterable[object], second: Iterable[object], depth: int) -> bool:
    first_items, second_items = [*first], [*second]
    return len(first_items) == len(second_items) and all(
        is_same(*pair, depth) for pair in zip(first_items, second_items, strict=True)
    )


def _content(cell: CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _is_equal(first: object, second: object) -> bool:
    try:
        return bool(first == second)
    except Exception:  # noqa: BLE001  a value's own comparison may raise anything
        return False
