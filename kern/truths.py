"""What is on or off: a text such as "no", which Python takes for yes, is neither."""

from kern.description import described
from kern.errors import InvalidDefinition, InvalidInput


def truths(refusal: type[InvalidInput] = InvalidDefinition, /, **given: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InvalidInput: one is something else; the `refusal`, which names it.
    """
    for name, value in given.items():
        if not isinstance(value, bool):
            raise refusal(f"{name} is {described(value)}: use True or False.")
