"""The templates of the console, and what they may call."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from kern.client.console import text, times
from kern.client.console.static_files import static_url

_FOLDER = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Return the environment of all templates."""
    templates = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=text.plain_text,
        auto_reload=False,
    )
    templates.filters.update(
        visible=text.visible,
        heading=text.heading,
        json=text.visible_json,
        digest=text.digest_groups,
        grouped=text.grouped,
        label=text.short_label,
        duration=times.length,
    )
    functions: dict[str, Any] = {
        "static": static_url,
        "call": text.visible_call,
        "at": _at,
        "due": _due,
    }
    templates.globals.update(functions)
    return templates


def render(template: str, **values: object) -> str:
    """Return a template's text."""
    return environment().get_template(template).render(**values)


@pass_context
def _at(context: Context, at: Any, **options: Any) -> Markup:  # noqa: ANN401  as templates pass it
    return times.time_element(at, context["frame"].now, **options)


@pass_context
def _due(context: Context, at: Any) -> Markup:  # noqa: ANN401  as templates pass it
    return times.due_element(at, context["frame"].now)
