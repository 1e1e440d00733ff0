"""A person at the console without a script: pages, and their forms as a browser sends them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Protocol, Self

import httpx2

from kern.client.processes.runtime import Runtime
from kern.client.service.runtime_service import RuntimeService
from kern.client.serving.links import desk_link
from kern.process.settings import Settings
from kern.values.roles import Role
from tests.support.api import Api


@dataclass
class Form:
    """A form of a page: where it is sent, its fields as they are filled in, and its buttons."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    buttons: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def filled(self, **values: str | Sequence[str]) -> list[tuple[str, str]]:
        """Return its fields with other values."""
        kept = [(name, value) for name, value in self.fields if name not in values]
        more = [
            (name, item)
            for name, value in values.items()
            for item in ([value] if isinstance(value, str) else value)
        ]
        return kept + more


class Page(HTMLParser):
    """A page: its answer, its text and its forms."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.forms: list[Form] = []
        self.links: list[str] = []
        self._texts: list[str] = []
        self._area: str | None = None
        self.feed(answer.text)

    @property
    def text(self) -> str:
        """The text that is read, in one line."""
        return " ".join(" ".join(self._texts).split())

    @property
    def path(self) -> str:
        """Where it is."""
        return self.answer.url.path

    def form(self, ending: str) -> Form:
        """Return the form that is sent to an address with this ending."""
        return next(form for form in self.forms if form.action.endswith(ending))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a form, a field, a link."""
        about = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(about.get("href", ""))
        if tag == "form":
            self.forms.append(Form(about.get("action", ""), about.get("method", "get")))
        if not self.forms or "name" not in about:
            return
        form, name = self.forms[-1], about["name"]
        if tag == "button":
            form.buttons.append((name, about.get("value", "")))
        if tag == "textarea":
            self._area = name
            form.fields.append((name, ""))
        is_box = about.get("type") in {"radio", "checkbox"}
        if tag == "input" and (not is_box or "checked" in about):
            form.fields.append((name, about.get("value", "on" if is_box else "")))

    def handle_endtag(self, tag: str) -> None:
        """End a text area."""
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        """Take text; that of a text area is its value."""
        if self._area is None:
            self._texts.append(data)
            return
        name, value = self.forms[-1].fields[-1]
        # As browsers do, the first end of a line is left out.
        self.forms[-1].fields[-1] = (name, value + (data.removeprefix("\n") if not value else data))


class Site(Protocol):
    """Where the console is."""

    @property
    def address(self) -> str:
        """As a URL without a path."""
        ...


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, api: Site, token: str | None = None) -> None:
        self.http = httpx2.Client(base_url=api.address, timeout=30, follow_redirects=True)
        if token is not None:
            self.sign_in(token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str) -> Page:
        """Open a page."""
        return Page(self.http.get(path))

    def sign_in(self, token: str) -> Page:
        """Sign in with a personal token."""
        return self.send(self.get("/desk/signin").form("/signin/token"), token=token)

    def send(self, form: Form, **values: str | Sequence[str]) -> Page:
        """Send a form with some values."""
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}
        pairs = form.filled(**values)
        names = dict.fromkeys(name for name, _ in pairs)
        data = {name: [value for key, value in pairs if key == name] for name in names}
        return Page(self.http.post(form.action, data=data, headers=headers))


def at_the_desk(api: Api, subject: str, *roles: Role, tenant: str = "") -> Visitor:
    """Return a person who has signed in with a token."""
    return Visitor(api, api.token(subject, *roles, tenant=tenant).secret)


def link_to_the_desk(runtime: Runtime, api: Api, name: str = "mia") -> str:
    """Return a link with which the operator of the installation opens the console once."""

    async def make(service: RuntimeService) -> str:
        return await desk_link(service, Settings(by=name), 1)

    return f"{api.address}/desk/link/{runtime.call(make).rpartition('/')[2]}"
