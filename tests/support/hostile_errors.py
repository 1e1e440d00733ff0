"""Exceptions whose own code raises, wherever it is touched."""

from typing import Any, NoReturn

from kern.errors import OutcomeUnknown

TOUCHED = (
    *("reason", "os_error", "response", "code", "status", "sqlstate", "exceptions", "args"),
    *("__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__"),
    "__class__",
)


def _fail(*_arguments: object) -> NoReturn:
    raise KeyError("reason")


def hostile(base: type[BaseException], *, module: str = "bank", everything: bool = False) -> Any:  # noqa: ANN401  no type checker knows what it takes
    """Return a class of which no property can be read, nor its words.

    With `everything`, not even an attribute that Python sets itself.
    """
    members: dict[str, object] = dict.fromkeys(TOUCHED, property(_fail))
    members |= {"__str__": _fail, "__repr__": _fail, "__module__": module}
    if everything:
        members |= {"__getattribute__": _fail, "__eq__": _fail, "__hash__": _fail}
    return type("BankError", (base,), members)


BankError = hostile(Exception)
BankOutcomeUnknown = hostile(OutcomeUnknown)
