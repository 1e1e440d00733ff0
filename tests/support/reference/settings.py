"""The page of the settings: every environment variable that Kern reads."""

import re
from pathlib import Path

from pydantic.fields import FieldInfo

from kern.process.settings import Settings
from tests.support.reference.markdown import docstring, table

ROOT = Path(__file__).parents[3]
_FOLDERS = ("kern", "workflows", "activities", "client")
# Variables that are read elsewhere: what they are for.
_VARIABLES = {
    "KERN_CHANNEL_URL": "The URL of the channel that `kern channels add` adds.",
    "KERN_DEMO_MODEL": "The model that `kern demo` asks, where one of the two below is set.",
    "OPENAI_API_KEY": "The key of `OpenAIResponses` and `OpenAIChat`.",
    "OPENAI_BASE_URL": "Another server that speaks OpenAI's protocols. It needs no key.",
    "TEMPORAL_ADDRESS": "The Temporal cluster. Without it the embedded server is used.",
    "TEMPORAL_CONFIG_FILE": "A configuration file of Temporal's clients, with profiles.",
    "TEMPORAL_PROFILE": "The profile of that file.",
}
_INTRODUCTION = """\
# Settings

Environment variables configure Kern. A process reads them once, when its runtime starts. A value
that cannot be used is refused with `InvalidInput`, which names the variable.
"""
_TEMPORAL = """
The Temporal variables are those of Temporal's own clients; `TEMPORAL_NAMESPACE`,
`TEMPORAL_API_KEY` and `TEMPORAL_TLS_…` work as well. Any of the three above turns the embedded
server off.
"""
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def page() -> str:
    """Return the page."""
    meanings = {item.arg_name: item.description or "" for item in docstring(Settings).params}
    ours = [
        (f"`KERN_{name.upper()}`", _default(field), _bounds(field), meanings[name])
        for name, field in Settings.model_fields.items()
    ]
    variables = [(f"`{name}`", _VARIABLES[name]) for name in sorted(_read_elsewhere())]
    return "\n".join(
        [
            _INTRODUCTION,
            table(("Variable", "Default", "Bounds", "Meaning"), ours),
            "## Other variables\n",
            table(("Variable", "Meaning"), variables) + _TEMPORAL,
        ]
    )


def _default(field: FieldInfo) -> str:
    return "none" if field.default is None else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, words in _BOUNDS.items()
        if hasattr(bound, name)
    ]
    return ", ".join(bounds)


def _read_elsewhere() -> set[str]:
    names = {
        name
        for folder in _FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'"((?:KERN|OPENAI|TEMPORAL)_[A-Z_]+)"', path.read_text("utf-8"))
    }
    return names - {f"KERN_{name.upper()}" for name in Settings.model_fields}
