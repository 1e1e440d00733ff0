"""Reads what decides of a class besides its methods: the fields of models, and annotations."""

from collections.abc import Mapping
from typing import Any

from kern.tools.code_state import attributes

# What Python and pydantic make of a class, and annotations, which have a place of their own.
MADE_NAMES = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "__annotations__", "__signature__"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__conditional_annotations__"),
}
_FIELD_PARTS = (
    *("annotation", "default", "default_factory", "metadata", "alias", "validation_alias"),
    *("discriminator", "validate_default", "exclude", "frozen", "init", "kw_only"),
)


def model_parts(members: Mapping[str, Any]) -> list[object]:
    """Return the fields of a model or dataclass of pydantic, and how its validators apply."""
    fields = members.get("__pydantic_fields__") or {}
    groups = attributes(members.get("__pydantic_decorators__"))
    return [
        members.get("__pydantic_config__"),
        [
            [name, *(getattr(field, part, None) for part in _FIELD_PARTS)]
            for name, field in fields.items()
        ],
        [
            [group, name, getattr(decorator, "info", None)]
            for group, items in sorted(groups.items())
            if isinstance(items, dict)
            for name, decorator in items.items()
        ],
    ]


def annotation_parts(value: object) -> list[object]:
    """Return what an annotation is made of, such as the values of a `Literal`."""
    return [getattr(value, part, None) for part in ("__origin__", "__args__", "__metadata__")]
