"""What code is given to read: the session's state in it may be changed, and nothing be replaced."""


class Given:
    """A base for dataclasses that code of users gets."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field once; `session_state |= {…}`, which changes what is there, sets it again."""
        known = vars(self)
        if name in known and value is known[name]:
            return
        if name not in known and name in getattr(self, "__dataclass_fields__", ()):
            super().__setattr__(name, value)
            return
        hint = ": change its keys, as in session_state['key'] = value" * (name == "session_state")
        message = f"{name} of a {type(self).__name__} cannot be set{hint}."
        raise AttributeError(message)
