"""The console against other sites, other people and other tenants."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from kern.client.processes.runtime import Runtime
from kern.client.service.runtime_service import RuntimeService
from kern.client.serving.application import application
from kern.client.web.headers import SECURITY_HEADERS
from kern.client.web.server import WebServer
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.tenants import tenant
from kern.values.roles import Role
from kern.values.states import PrincipalKind
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api
from tests.support.desk import Page, Visitor, at_the_desk, link_to_the_desk
from tests.support.waiting import wait_until

PAGES = ["inbox", "runs", "sessions", "inbox?for=all", "inbox?sort=risk&kind=confirmation"]


@pytest.fixture
def item(ledger: Ledger) -> Requirement:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    (requirement,) = agent.run("Pay").active_requirements
    return requirement


def url(item: Requirement) -> str:
    return f"/desk/requirements/{item.id}"


def is_open(dana: Visitor, item: Requirement) -> bool:
    return "Waiting for you" in dana.get(url(item)).text


def test_whoever_has_not_signed_in_is_led_to_where_they_were_going(
    api: Api, item: Requirement
) -> None:
    token = api.token("dana").secret
    with Visitor(api) as visitor:
        page = visitor.get(f"{url(item)}?a=b")
        assert page.path == "/desk/signin"
        assert "You followed a link to a decision" in page.text
        assert visitor.send(page.form("/token"), token=token).path == url(item)


@pytest.mark.parametrize(
    "place", ["https://elsewhere.example/", "//elsewhere.example", "/desk/../elsewhere", "\\\\a"]
)
def test_sign_in_leads_to_no_other_site(api: Api, place: str) -> None:
    token = api.token("dana").secret
    with Visitor(api) as visitor:
        page = visitor.http.get("/desk/signin", params={"next": place})
        after = visitor.send(Page(page).form("/token"), token=token)
        assert after.answer.url.host == "127.0.0.1"
        assert after.path in {"/desk/inbox", "/elsewhere"}


def test_a_wrong_token_lets_nobody_in(api: Api) -> None:
    token = api.token("dana")
    service = api.token("robot", kind=PrincipalKind.service).secret
    with Visitor(api) as visitor:
        for secret, why in (("kern_wrong", "unknown"), (service, "no person"), ("", "unknown")):
            page = visitor.sign_in(secret)
            assert (page.status, why in page.text) == (401, True)
            assert secret not in page.answer.text or not secret
        assert visitor.get("/desk/inbox").path == "/desk/signin"
        assert visitor.sign_in(token.secret).path == "/desk/inbox"


def test_a_session_ends_with_its_token_and_with_the_sign_out(runtime: Runtime, api: Api) -> None:
    token = api.token("dana", Role.administrator)
    with Visitor(api, token.secret) as visitor, api.as_person("root", Role.administrator) as root:
        assert visitor.get("/desk/inbox").path == "/desk/inbox"
        cookies = dict(visitor.http.cookies)
        visitor.send(visitor.get("/desk/inbox").form("/signout"))
        assert visitor.get("/desk/inbox").path == "/desk/signin"
        # The cookie of before is worth nothing.
        with httpx2.Client(base_url=api.address, cookies=cookies) as thief:
            assert thief.get("/desk/inbox").status_code == 303
        visitor.sign_in(token.secret)
        root.delete(f"/v1/tokens/{token.token.id}")
        assert visitor.get("/desk/inbox").path == "/desk/signin"


def test_the_cookie_of_a_session_is_new_and_out_of_reach_of_scripts(api: Api) -> None:
    token = api.token("dana").secret
    with Visitor(api) as visitor:
        before = dict(visitor.http.cookies)
        page = visitor.get("/desk/signin")
        signed_in = visitor.sign_in(token)
        assert not set(before.values()) & set(dict(visitor.http.cookies).values())
        first = [value for name, value in visitor.http.cookies.items() if "form" not in name]
        visitor.sign_in(token)
        second = [value for name, value in visitor.http.cookies.items() if "form" not in name]
        assert first != second
        headers = signed_in.answer.history[0].headers.get_list("set-cookie")
        (cookie,) = [line for line in headers if "form" not in line]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert page.status == 200
        # The session of before is over.
        with httpx2.Client(base_url=api.address) as thief:
            name = next(name for name in visitor.http.cookies if "form" not in name)
            thief.cookies.set(name, first[0])
            assert thief.get("/desk/inbox").status_code == 303


def test_over_tls_the_cookie_is_for_this_host_alone(runtime: Runtime, api: Api) -> None:
    token = api.token("dana").secret

    async def start(service: RuntimeService) -> tuple[WebServer, int]:
        server = WebServer(application(service, public_url="https://kern.example"))
        return server, await server.start("127.0.0.1", 0)

    server, port = runtime.call(start)
    try:
        headers = {"Host": "kern.example", "Sec-Fetch-Site": "same-origin"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            page = client.get("/desk/signin")
            (form_cookie,) = page.headers.get_list("set-cookie")
            assert form_cookie.startswith("__Host-kern-form=")
            assert "Secure" in form_cookie
            form = Page(page).form("/token")
            client.cookies.set("__Host-kern-form", form_cookie.split("=", 1)[1].split(";")[0])
            data = {**dict(form.fields), "token": token}
            answer = client.post(form.action, data=data)
            (cookie,) = [
                line
                for line in answer.headers.get_list("set-cookie")
                if line.startswith("__Host-kern=")
            ]
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
            assert client.get("/desk/signin", headers={"Host": "other.example"}).status_code == 421
    finally:
        runtime.call(lambda _service: server.stop())


def test_a_link_signs_in_once(runtime: Runtime, api: Api, item: Requirement) -> None:
    address = link_to_the_desk(runtime, api)
    with Visitor(api) as first, Visitor(api) as second:
        page = first.get(address)
        assert page.path == "/desk/inbox"
        assert "local, unauthenticated" in page.text
        replayed = second.get(address)
        assert (replayed.status, "This link was used" in replayed.text) == (401, True)
        assert second.get("/desk/inbox").path == "/desk/signin"
        first.send(first.get(url(item)).form("/decisions"), verdict="approve")
        assert "Approved by mia" in first.get(url(item)).text


def test_a_form_of_another_page_changes_nothing(api: Api, dana: Visitor, item: Requirement) -> None:
    form = dana.get(url(item)).form("/decisions")
    data = dict(form.filled(verdict="approve"))
    ours = {"Sec-Fetch-Site": "same-origin"}
    with at_the_desk(api, "ravi") as ravi:
        theirs = dict(ravi.get(url(item)).form("/decisions").fields)["csrf"]
    refusals = [
        ({**data, "csrf": ""}, ours),
        ({**data, "csrf": theirs}, ours),
        (data, {"Sec-Fetch-Site": "cross-site"}),
        (data, {"Sec-Fetch-Site": "same-site"}),
        (data, {"Origin": "https://elsewhere.example"}),
        (data, {"Origin": "null"}),
    ]
    for values, headers in refusals:
        answer = dana.http.post(form.action, data=values, headers=headers)
        assert (answer.status_code, "stale_form" in answer.text) == (403, True)
    del data["csrf"]
    assert dana.http.post(form.action, data=data, headers=ours).status_code == 403
    assert dana.http.post(form.action, content=b"\xff=\xff", headers=ours).status_code in {400, 403}
    assert is_open(dana, item)


def test_whoever_has_no_session_decides_nothing(api: Api, dana: Visitor, item: Requirement) -> None:
    form = dana.get(url(item)).form("/decisions")
    with Visitor(api) as nobody:
        page = nobody.send(form, verdict="approve")
        assert (page.status, "Your session has ended" in page.text) == (401, True)
    assert is_open(dana, item)


def test_a_reader_sees_and_decides_nothing(api: Api, dana: Visitor, item: Requirement) -> None:
    form = dana.get(url(item)).form("/decisions")
    with Visitor(api, api.token("vera", Role.viewer).secret) as vera:
        page = vera.get(url(item))
        assert page.status == 200
        csrf = dict(vera.get("/desk/inbox").form("/signout").fields)["csrf"]
        refused = vera.send(form, verdict="approve", csrf=csrf)
        assert refused.status == 403
    assert is_open(dana, item)


def test_another_tenants_things_are_not_there(api: Api, ledger: Ledger) -> None:
    with tenant("halden"):
        agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
        run = agent.run("Pay")
    (item,) = run.active_requirements
    with at_the_desk(api, "dana") as dana:
        csrf = dict(dana.get("/desk/inbox").form("/signout").fields)["csrf"]
        headers = {"Sec-Fetch-Site": "same-origin"}
        for path in (
            url(item),
            f"{url(item)}/state",
            f"{url(item)}/edit",
            f"/desk/runs/{run.run_id}",
            f"/desk/sessions/{run.session_id}",
        ):
            assert dana.get(path).status == 404, path
        for path in (
            f"{url(item)}/decisions",
            f"{url(item)}/edit",
            f"{url(item)}/withdraw",
            f"/desk/runs/{run.run_id}/cancel",
            f"/desk/runs/{run.run_id}/retry",
            f"/desk/sessions/{run.session_id}/rename",
        ):
            answer = dana.http.post(path, data={"csrf": csrf, "name": "x"}, headers=headers)
            assert answer.status_code == 404, path
        assert "Nothing is waiting" in dana.get("/desk/inbox?for=all").text
    with at_the_desk(api, "dana", tenant="halden") as other:
        assert other.get(url(item)).status == 200


def test_no_page_can_be_framed_or_load_anything_else(
    api: Api, dana: Visitor, item: Requirement
) -> None:
    paths = [f"/desk/{name}" for name in PAGES] + [url(item), "/desk/nowhere", "/desk/signin"]
    for path in paths:
        headers = dana.get(path).answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
    with httpx2.Client(base_url=api.address) as client:
        assert client.get("/desk/inbox", headers={"Host": "evil.example"}).status_code == 421
        page = client.get("/desk/signin").text
        style = next(part for part in page.split('"') if part.endswith(".css"))
        assert "immutable" in client.get(style).headers["Cache-Control"]


@pytest.mark.parametrize("host", ["evil.example", "[", ""])
def test_another_name_is_refused_like_all_else_is(api: Api, host: str) -> None:
    with httpx2.Client(base_url=api.address) as client:
        known = client.get("/v1/nowhere")
        answer = client.get("/desk/inbox", headers={"Host": host})

    assert (answer.status_code, answer.headers["Content-Type"]) == (
        421,
        known.headers["Content-Type"],
    )
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.json() == {
        "type": "urn:kern:problem:unknown_host",
        "title": "This server has another name",
        "status": 421,
        "code": "unknown_host",
        "detail": "Use the address that Kern printed, or set KERN_PUBLIC_URL to this one.",
        "instance": "/desk/inbox",
        "changed": False,
        "retryable": False,
    }


def rows(folder: Path) -> dict[str, list[object]]:
    with closing(sqlite3.connect(folder / "kern.db")) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = [name for (name,) in connection.execute(query)]
        return {name: list(connection.execute(f"SELECT * FROM {name}")) for name in names}  # noqa: S608


def test_a_get_of_every_page_changes_no_row(
    tmp_path: Path, api: Api, dana: Visitor, item: Requirement
) -> None:
    paths = [f"/desk/{name}" for name in PAGES]
    paths += [url(item), f"{url(item)}/state", f"{url(item)}/edit", "/desk/link/unknown"]
    paths += [f"/desk/runs/{item.run_id}", f"/desk/sessions/{item.session_id}"]
    # What was delivered is recorded a moment later.
    wait_until(lambda: not rows(tmp_path)["kern_outbox"])
    before = rows(tmp_path)
    assert before["kern_requirements"]
    for path in paths:
        dana.get(path)
    assert rows(tmp_path) == before


def test_an_expired_token_signs_nobody_in(api: Api) -> None:
    token = api.token("dana", life=timedelta(microseconds=1))
    with Visitor(api) as visitor:
        page = visitor.sign_in(token.secret)
        assert (page.status, "expired since" in page.text) == (401, True)
