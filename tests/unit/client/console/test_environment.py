"""Whatever a template writes is spelled out and escaped, wherever it stands."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.client.console import environment as module
from kern.client.console.environment import environment
from tests.support.shown_text import misread_in

TEMPLATES = Path(module.__file__).with_name("templates")
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir()}
# What writes elements may not stand in an attribute.
IN_ATTRIBUTE = re.compile(
    r'="[^"<>]*\{\{[^}]*(\|\s*(visible|json|heading)|\b(call|at|due)\()[^}]*\}\}'
)
FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
# They evaluate code, which the pages' policy forbids.
EVALUATED = re.compile(r"hx-on|js:|hx-vals|hx-trigger=\"[^\"]*\[|\son[a-z]+=|\sstyle=|\|\s*safe\b")


@given(st.text())
def test_a_text_in_an_attribute_stays_in_it(text: str) -> None:
    page = environment().from_string('<input value="{{ text }}">').render(text=text)
    found = re.fullmatch(r'<input value="([^"<>]*)">', page)
    assert found is not None
    value = html.unescape(found[1])
    assert not misread_in(value, "\n\t")


@pytest.mark.parametrize("name", SOURCES)
def test_elements_are_written_outside_attributes(name: str) -> None:
    assert not IN_ATTRIBUTE.findall(SOURCES[name])


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_evaluated_in_the_browser_or_left_unescaped(name: str) -> None:
    assert not EVALUATED.findall(SOURCES[name])


@pytest.mark.parametrize("name", SOURCES)
def test_every_template_compiles(name: str) -> None:
    assert environment().get_template(name).name == name


@pytest.mark.parametrize("name", SOURCES)
def test_every_posted_form_carries_the_token(name: str) -> None:
    for form in FORM.findall(SOURCES[name]):
        if 'method="post"' in form:
            assert 'name="csrf"' in form or "hidden(form)" in form, form[:120]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        environment().from_string("{{ nothing }}").render()
