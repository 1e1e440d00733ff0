"""Compares pieces of code that have the same name: may one replace the other?"""

import functools
from collections.abc import Iterable, Mapping
from types import CellType, FunctionType, MethodType

_DEEPEST = 6


def is_same(left: object, right: object, depth: int = 0) -> bool:
    """Whether one may replace the other.

    Functions may if they were made by the same lines, with defaults and closures that may; other
    objects if they are equal. What cannot be compared is not the same.
    """
    if left is right:
        return True
    if type(left) is not type(right) or depth > _DEEPEST:
        return False
    return _is_same(left, right, depth + 1)


# A case for each kind.
def _is_same(left: object, right: object, depth: int) -> bool:  # noqa: PLR0911
    match left, right:
        case FunctionType(), FunctionType():
            left_values = [left.__defaults__, left.__kwdefaults__, *(left.__closure__ or ())]
            right_values = [right.__defaults__, right.__kwdefaults__, *(right.__closure__ or ())]
            is_code = left.__code__ == right.__code__ and left.__module__ == right.__module__
            return is_code and _are_same(left_values, right_values, depth)
        case CellType(), CellType():
            return _are_same(_content(left), _content(right), depth)
        case MethodType(), MethodType():
            return is_same(left.__func__, right.__func__, depth) and is_same(
                left.__self__, right.__self__, depth
            )
        case functools.partial(), functools.partial():
            return _are_same(
                (left.func, left.args, left.keywords),
                (right.func, right.args, right.keywords),
                depth,
            )
        case ((list() | tuple()), (list() | tuple())):
            return _are_same(left, right, depth)
        case Mapping(), Mapping():
            return left.keys() == right.keys() and all(
                is_same(value, right[key], depth) for key, value in left.items()
            )
        case _:
            return _is_equal(left, right)


def _are_same(left: Iterable[object], right: Iterable[object], depth: int) -> bool:
    left_items, right_items = [*left], [*right]
    return len(left_items) == len(right_items) and all(
        is_same(*pair, depth) for pair in zip(left_items, right_items, strict=True)
    )


def _content(cell: CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _is_equal(left: object, right: object) -> bool:
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001  a value's own comparison may raise anything
        return False
