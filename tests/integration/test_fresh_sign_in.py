"""Dangerous decisions of people who have to prove again who they are."""

import time
from collections.abc import Iterator

import pytest

from kern.client.identity.sign_on import SignOn
from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.tools import tool
from tests.support.agents import scripted
from tests.support.api import Api, serving
from tests.support.desk import Visitor
from tests.support.identity import IdentityProvider, config

SSO = "/desk/signin/sso"


@tool(requires_confirmation=True, risk="high", confirm="disk")
def wipe(disk: str) -> str:
    """Wipe a disk."""
    return f"wiped {disk}"


@tool(requires_confirmation=True)
def mount(disk: str) -> str:
    """Mount a disk."""
    return f"mounted {disk}"


@pytest.fixture
def api(runtime: Runtime, provider: IdentityProvider) -> Iterator[Api]:
    with serving(runtime, SignOn(config(provider.address)), fresh_seconds=300) as served:
        yield served


@pytest.fixture
def items(runtime: Runtime) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for name in ("wipe", "mount"):
        agent = scripted([Call(name, disk="sda"), "Done."], [wipe, mount])
        (found[name],) = agent.run("Go").active_requirements
    return found


def approve(visitor: Visitor, item: Requirement) -> str:
    """Approve on the page, and return what it says then."""
    form = visitor.get(f"/desk/requirements/{item.id}").form("/decisions")
    page = visitor.send(form, verdict="approve", typed="sda")
    return page.text


def test_danger_needs_a_fresh_sign_in_and_nothing_else_does(
    api: Api, provider: IdentityProvider, items: dict[str, Requirement]
) -> None:
    provider.changes = {"auth_time": int(time.time()) - 3600}
    with Visitor(api) as dana:
        assert dana.get(SSO).path == "/desk/inbox"
        assert "Approved by dana" in approve(dana, items["mount"])
        url = f"/desk/requirements/{items['wipe'].id}"
        form = dana.get(url).form("/decisions")
        page = dana.send(form, verdict="approve", typed="sda")
        assert (page.status, "needs a fresh sign-in" in page.text) == (401, True)
        (link,) = [link for link in page.links if "fresh=1" in link]
        (link,) = [link for link in dana.get(link).links if link.startswith(SSO)]
        # A provider that does not ask again helps nobody.
        assert "have just authenticated" in dana.get(link).text
        assert "needs a fresh sign-in" in approve(dana, items["wipe"])
        provider.changes = {"auth_time": int(time.time())}
        page = dana.get(link)
        assert (page.status, page.path) == (200, url)
        query = provider.authorizations[-1]
        assert (query["prompt"], query["max_age"]) == ("login", "0")
        assert "Approved by dana" in approve(dana, items["wipe"])


def test_a_rejection_is_always_taken(
    api: Api, provider: IdentityProvider, items: dict[str, Requirement]
) -> None:
    with Visitor(api) as dana:
        # Nobody says when they authenticated.
        assert dana.get(SSO).path == "/desk/inbox"
        assert "needs a fresh sign-in" in approve(dana, items["wipe"])
        form = dana.get(f"/desk/requirements/{items['wipe'].id}").form("/decisions")
        assert "Rejected by dana" in dana.send(form, verdict="reject", note="No.").text


def test_over_the_api_a_token_says_when_the_person_authenticated(
    api: Api, provider: IdentityProvider, items: dict[str, Requirement]
) -> None:
    item = items["wipe"]
    url = f"/v1/requirements/{item.id}/decisions"
    body = {"verdict": "approve", "digest": item.digest[:12], "confirm": "sda"}
    person = {"sub": "248289", "preferred_username": "dana", "scp": "decide"}
    stale = [
        api.token("ravi").secret,
        provider.access_token(**person),
        provider.access_token(**person, auth_time=int(time.time()) - 400),
        provider.access_token(**person, auth_time="now"),
    ]
    for token in stale:
        with api.client(token) as client:
            answer = client.post(url, json=body)
            assert (answer.status_code, answer.json()["code"]) == (401, "fresh_sign_in_required")
            assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    with api.client(provider.access_token(**person, auth_time=int(time.time()))) as client:
        assert client.post(url, json=body).status_code == 201


def test_whoever_signs_in_with_a_token_has_just_proved_it(
    api: Api, items: dict[str, Requirement]
) -> None:
    with Visitor(api, api.token("ravi").secret) as ravi:
        assert "Approved by ravi" in approve(ravi, items["wipe"])
