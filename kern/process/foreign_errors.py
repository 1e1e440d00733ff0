"""Reads exceptions whose classes may be anybody's code: no read raises, whatever that code does.

What Python keeps of an exception itself is read past the properties of its class; everything else
is guarded. What cannot be read is missing, and the exception is judged by the rest.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TypeGuard, TypeVar

Value = TypeVar("Value")

_KEPT = {**vars(BaseException), "exceptions": vars(BaseExceptionGroup)["exceptions"]}


def guarded(read: Callable[[], Value], default: Value) -> Value:
    """Return what is read, or the default if that raises."""
    try:
        return read()
    except BaseException:  # noqa: BLE001  code of users may raise anything
        return default


def attribute(value: object, name: str) -> object:
    """Return an attribute, or None where there is none or it cannot be read."""
    return guarded(lambda: getattr(value, name, None), None)


def is_error(value: object) -> TypeGuard[BaseException]:
    """Whether a value is an exception, by its type and never by what its class says of itself."""
    return issubclass(type(value), BaseException)


def is_one_of(error: BaseException, classes: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception is of one of these classes; they may be anybody's, too."""
    return guarded(lambda: issubclass(type(error), classes), default=False)


def cause_of(error: BaseException) -> BaseException | None:
    """Return what an exception was raised from."""
    cause: BaseException | None = _KEPT["__cause__"].__get__(error)
    return cause


def context_of(error: BaseException) -> BaseException | None:
    """Return the exception during which an exception was raised."""
    context: BaseException | None = _KEPT["__context__"].__get__(error)
    return context


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception."""
    traceback: TracebackType | None = _KEPT["__traceback__"].__get__(error)
    return traceback


def arguments_of(error: BaseException) -> tuple[object, ...]:
    """Return the arguments of an exception."""
    arguments: tuple[object, ...] = _KEPT["args"].__get__(error)
    return arguments


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group; of any other exception, none."""
    is_group = issubclass(type(error), BaseExceptionGroup)
    return _KEPT["exceptions"].__get__(error) if is_group else ()


def text_of(error: object) -> str:
    """Return the words of an exception; no text where they cannot be had."""
    # Joined, since a text may be of a class with code of its own.
    return guarded(lambda: "".join((str(error),)), "")


def module_of(cls: type) -> str:
    """Return the name of the module that says to define a class."""
    module = attribute(cls, "__module__")
    return module if type(module) is str else ""


def kind_of(error: BaseException) -> str:
    """Return the full name of the class of an exception."""
    name: str = vars(type)["__qualname__"].__get__(type(error))
    return f"{module_of(type(error))}.{name}"


def name_of(cls: type) -> str:
    """Return the name of a class, without those of the classes and functions around it."""
    name: str = vars(type)["__name__"].__get__(cls)
    return name
