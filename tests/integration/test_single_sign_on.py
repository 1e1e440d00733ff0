"""People who sign in to the console with an identity provider."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from kern.client.identity.configuration import ClaimNames
from kern.client.identity.sign_on import SignOn
from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.requirements import Requirement
from kern.tenants import tenant
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.desk import Page, Visitor
from tests.support.identity import IdentityProvider, config, provider_of_others

SSO = "/desk/signin/sso"


@pytest.fixture
def api(runtime: Runtime, provider: IdentityProvider) -> Iterator[Api]:
    with serving(runtime, SignOn(config(provider.address))) as served:
        yield served


@pytest.fixture
def visitor(api: Api) -> Iterator[Visitor]:
    with Visitor(api) as person:
        yield person


def refused(page: Page, status: int, *texts: str) -> bool:
    """Whether a visitor is on the page of the sign-in, which says so."""
    return (
        page.status == status
        and "Sign in to Kern" in page.text
        and all(text in page.text for text in texts)
    )


def begun(visitor: Visitor, next_url: str = "") -> dict[str, str]:
    """Begin a sign-in, and return with what the provider is asked."""
    answer = visitor.http.get(SSO, params={"next": next_url}, follow_redirects=False)
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {name: values[0] for name, values in query.items()}


def callback_of(visitor: Visitor, **query: str) -> Page:
    return Page(visitor.http.get("/desk/signin/callback", params=query))


def test_a_person_signs_in_with_a_provider_that_others_wrote(
    runtime: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    (item,) = agent.run("Pay").active_requirements
    url = f"/desk/requirements/{item.id}"
    with (
        provider_of_others() as issuer,
        serving(runtime, SignOn(config(issuer))) as api,
        Visitor(api) as visitor,
    ):
        claims = {"preferred_username": "dana", "groups": ["finance-leads"]}
        assert httpx2.put(f"{issuer}/users/248289", json=claims).status_code == 204
        page = visitor.get(url)
        assert (page.path, "You followed a link to a decision" in page.text) == (
            "/desk/signin",
            True,
        )
        (link,) = [link for link in page.links if link.startswith(SSO)]
        there = visitor.get(link)
        assert "Authorize Client" in there.text
        page = Page(visitor.http.post(str(there.answer.url), data={"sub": "248289"}))
        assert (page.status, page.path) == (200, url)
        page = visitor.send(page.form("/decisions"), verdict="approve")
        assert "Approved by dana" in page.text
        # A person without a group comes from there, too, and is told so.
        httpx2.put(f"{issuer}/users/7", json={"preferred_username": "vera"})
        with Visitor(api) as other:
            there = other.get(SSO)
            page = Page(other.http.post(str(there.answer.url), data={"sub": "7"}))
            assert refused(page, 403, "vera (7) came with no groups", "KERN_ROLES")
            there = other.get(SSO)
            page = Page(other.http.post(str(there.answer.url), data={"action": "deny"}))
            assert page.status == 401
            assert "Sign in to Kern" in page.text


def test_who_signs_in_is_the_principal_of_the_decision(
    runtime: Runtime, provider: IdentityProvider, visitor: Visitor, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    run = agent.run("Pay")
    (item,) = run.active_requirements
    page = visitor.get(f"{SSO}?next=/desk/requirements/{item.id}")
    assert page.path == f"/desk/requirements/{item.id}"
    visitor.send(page.form("/decisions"), verdict="approve")

    async def decisions(service: Any) -> Any:  # noqa: ANN401  the service of a runtime
        from kern.contracts.viewer import present_operator

        return await service.inbox.decisions(present_operator(), item.id)

    (decision,) = runtime.call(decisions)
    principal = decision.principal
    assert (principal.issuer, principal.subject) == (provider.address, "248289")
    assert (principal.name, principal.groups) == ("dana", ("finance-leads",))


def test_the_provider_is_asked_with_pkce_state_and_nonce(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    assert visitor.get(SSO).path == "/desk/inbox"
    (query,) = provider.authorizations
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == f"{api.address}/desk/signin/callback"
    assert query["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} < set(query)
    assert query["scope"] == "openid profile email"
    assert "prompt" not in query
    with Visitor(api) as other:
        second = begun(other)
    assert not {query["state"], query["nonce"], query["code_challenge"]} & set(second.values())


@pytest.mark.parametrize(
    "place",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/v1/me",
        "/desk/\\elsewhere",
        "x" * 5000,
    ],
)
def test_the_flow_leads_to_no_other_site(visitor: Visitor, api: Api, place: str) -> None:
    page = Page(visitor.http.get(SSO, params={"next": place}))
    assert (page.path, page.answer.url.host) == ("/desk/inbox", "127.0.0.1")


def test_where_somebody_was_going_is_no_secret_of_the_address(
    provider: IdentityProvider, visitor: Visitor
) -> None:
    path = "/desk/inbox?q=a-private-search"
    page = Page(visitor.http.get(SSO, params={"next": path}))
    assert str(page.answer.url).endswith(path)
    assert "private" not in str(provider.authorizations)


def test_two_tabs_sign_in_each_to_its_own_page(visitor: Visitor) -> None:
    first, second = begun(visitor, "/desk/runs"), begun(visitor, "/desk/sessions")
    pages = [
        Page(visitor.http.get(query["redirect_uri"], params={"state": query["state"]}))
        for query in (second, first)
    ]
    # Without a code nobody comes in, and the page of the sign-in still leads to the right place.
    assert [dict(page.form("/token").fields)["next"] for page in pages] == [
        "/desk/sessions",
        "/desk/runs",
    ]


def test_an_answer_for_another_browser_signs_nobody_in(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    with Visitor(api) as thief:
        query = begun(thief)
        there = thief.http.get(
            f"{provider.address}/authorize", params=query, follow_redirects=False
        )
        answer = parse_qs(urlsplit(there.headers["Location"]).query)
    code, state = answer["code"][0], answer["state"][0]
    # The link of the thief would sign the victim in as the thief.
    begun(visitor)
    for returned in (state, "", "x", state[:-1], state.swapcase()):
        page = callback_of(visitor, code=code, state=returned)
        assert refused(page, 401, "begun in another browser")
    with Visitor(api) as nobody:
        assert refused(callback_of(nobody, code=code, state=state), 401, "another browser")
    assert visitor.get("/desk/inbox").path == "/desk/signin"
    assert "/token" not in provider.requests


def test_an_address_of_before_signs_nobody_in_again(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    page = visitor.get(SSO)
    (callback,) = [
        str(answer.url) for answer in page.answer.history if "/callback" in str(answer.url)
    ]
    exchanges = provider.requests.count("/token")
    # Whoever goes back in their browser stays where they are.
    assert visitor.get(callback).path == "/desk/inbox"
    visitor.send(visitor.get("/desk/inbox").form("/signout"))
    assert refused(visitor.get(callback), 401, "finished before")
    with Visitor(api) as thief:
        thief.get("/desk/signin")
        assert refused(thief.get(callback), 401, "another browser")
    assert provider.requests.count("/token") == exchanges


def test_a_used_code_signs_nobody_in(api: Api, provider: IdentityProvider) -> None:
    with Visitor(api) as visitor:
        query = begun(visitor)
        there = visitor.http.get(
            f"{provider.address}/authorize", params=query, follow_redirects=False
        )
        callback = there.headers["Location"]
        kept = dict(visitor.http.cookies)
        assert visitor.get(callback).path == "/desk/inbox"
    with httpx2.Client(base_url=api.address, cookies=kept) as thief:
        assert refused(Page(thief.get(callback)), 401, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": ["kern-desk", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"iss": "https://another.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": 4_000_000_000}, "iat"),
        ({"sub": None}, "sub"),
        ({"sub": 5}, "sub"),
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    provider: IdentityProvider, visitor: Visitor, changes: dict[str, Any], text: str
) -> None:
    provider.changes = changes
    page = visitor.get(f"{SSO}?next=/desk/runs")
    assert refused(page, 401, "The sign-in did not work", text)
    assert dict(page.form("/token").fields)["next"] == "/desk/runs"
    assert visitor.get("/desk/inbox").path == "/desk/signin"
    provider.changes = {}
    assert visitor.get(f"{SSO}?next=/desk/runs").path == "/desk/runs"


def test_a_provider_may_change_its_keys(provider: IdentityProvider, visitor: Visitor) -> None:
    assert visitor.get(SSO).path == "/desk/inbox"
    visitor.send(visitor.get("/desk/inbox").form("/signout"))
    provider.rotate()
    assert visitor.get(SSO).path == "/desk/inbox"
    assert provider.requests.count("/jwks") == 2


def test_keys_are_not_fetched_for_every_token_with_an_unknown_one(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    assert visitor.get(SSO).path == "/desk/inbox"
    provider.header = {"kid": "unknown"}
    for _ in range(4):
        with Visitor(api) as other:
            assert refused(other.get(SSO), 401, "invalid_key_id")
    assert provider.requests.count("/jwks") == 2


def test_a_token_may_name_no_key_while_there_is_one(
    provider: IdentityProvider, visitor: Visitor
) -> None:
    provider.header = {"kid": None}
    assert visitor.get(SSO).path == "/desk/inbox"


def test_a_provider_that_is_away_is_a_page(provider: IdentityProvider, visitor: Visitor) -> None:
    provider.is_down = True
    page = visitor.get(f"{SSO}?next=/desk/runs")
    assert refused(page, 503, "The identity provider does not answer")
    assert visitor.get("/desk/signin").status == 200
    provider.is_down = False

    def comes_in() -> bool:
        return visitor.get(f"{SSO}?next=/desk/runs").path == "/desk/runs"

    from tests.support.waiting import wait_until

    wait_until(comes_in)
    # It goes away between the two halves of a sign-in.
    visitor.send(visitor.get("/desk/inbox").form("/signout"))
    query = begun(visitor, "/desk/runs")
    provider.is_down = True
    page = callback_of(visitor, state=query["state"], code="any")
    assert refused(page, 503, "does not answer as it should")
    assert visitor.get("/desk/inbox").path == "/desk/signin"


def test_a_refusal_of_the_provider_is_a_page_that_says_what_to_do(
    provider: IdentityProvider, visitor: Visitor
) -> None:
    provider.refusal = "access_denied"
    assert refused(visitor.get(SSO), 401, "access_denied", "ask an administrator of the provider")
    state = begun(visitor)["state"]
    page = callback_of(visitor, state=state, error="<script>alert(1)</script>")
    assert refused(page, 401)
    assert "alert(1)" not in page.answer.text
    assert refused(callback_of(visitor, state=state), 401, "no code")
    assert refused(callback_of(visitor, state=state, code="x", iss="https://a.example"), 401)


def test_a_wrong_secret_is_said_and_not_shown(runtime: Runtime, provider: IdentityProvider) -> None:
    wrong = config(provider.address, client_secret="a wrong one")
    with serving(runtime, SignOn(wrong)) as api, Visitor(api) as visitor:
        page = visitor.get(SSO)
        assert refused(page, 401, "invalid_client", "KERN_OIDC_CLIENT_ID")
        assert "wrong one" not in page.answer.text


def test_groups_decide_what_somebody_may_do(
    api: Api, provider: IdentityProvider, visitor: Visitor, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    (item,) = agent.run("Pay").active_requirements
    provider.person["groups"] = ["lookers"]
    page = visitor.get(f"{SSO}?next=/desk/requirements/{item.id}")
    assert page.status == 200
    form = page.form("/signout")
    csrf = dict(form.fields)["csrf"]
    data = {"csrf": csrf, "verdict": "approve", "decision_id": "1"}
    headers = {"Sec-Fetch-Site": "same-origin"}
    url = f"/desk/requirements/{item.id}/decisions"
    assert visitor.http.post(url, data=data, headers=headers).status_code == 403
    provider.person["groups"] = ["strangers", "visitors"]
    with Visitor(api) as other:
        page = other.get(SSO)
        assert refused(page, 403, "You have no role here", "strangers, visitors")
        assert other.get("/desk/inbox").path == "/desk/signin"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"groups": ["fin\u200bance-leads"]}, "groups"),
        ({"groups": {"a": 1}}, "groups"),
        ({"groups": None, "_claim_names": {"groups": "src1"}}, "groups"),
        ({"preferred_username": "d\u0430na"}, "preferred_username"),
        ({"sub": "a\u200bb"}, "sub"),
        ({"sub": "x" * 600}, "sub"),
    ],
)
def test_a_claim_that_can_be_no_name_is_refused_by_its_name(
    provider: IdentityProvider, visitor: Visitor, claims: dict[str, Any], name: str
) -> None:
    provider.person |= claims
    assert refused(visitor.get(SSO), 401, f"The claim '{name}'")


def test_what_the_id_token_lacks_comes_from_userinfo(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    del provider.person["groups"]
    provider.more = {"groups": ["sre"], "preferred_username": "mallory"}
    page = visitor.get(SSO)
    assert page.path == "/desk/inbox"
    # What is signed wins.
    assert "dana" in page.text
    assert "mallory" not in page.text
    provider.more["sub"] = "another"
    with Visitor(api) as other:
        assert refused(other.get(SSO), 401, "about somebody else")


def test_a_tenant_is_what_its_claim_says(
    runtime: Runtime, provider: IdentityProvider, ledger: Ledger
) -> None:
    items: dict[str, Requirement] = {}
    for name in ("halden", "morrow"):
        with tenant(name):
            agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
            (items[name],) = agent.run("Pay").active_requirements
    from kern.values.roles import Role

    per_tenant = config(
        provider.address,
        claims=ClaimNames(tenant="org.name"),
        roles={"halden/leads": (Role.operator,), "*/sre": (Role.administrator,)},
    )
    provider.person["groups"] = ["leads"]
    with serving(runtime, SignOn(per_tenant)) as api:
        with Visitor(api) as dana:
            provider.person["org"] = {"name": "halden"}
            assert dana.get(SSO).path == "/desk/inbox"
            assert dana.get(f"/desk/requirements/{items['halden'].id}").status == 200
            assert dana.get(f"/desk/requirements/{items['morrow'].id}").status == 404
        for org, text in (
            ({"name": "morrow"}, "in the tenant morrow"),
            ({"name": ""}, "'org.name'"),
            ({}, "'org.name'"),
            ({"name": ["halden"]}, "'org.name'"),
            ({"name": "hal\u200bden"}, "'org.name'"),
        ):
            provider.person["org"] = org
            with Visitor(api) as other:
                page = other.get(SSO)
                assert "Sign in to Kern" in page.text
                assert text in page.text
                assert other.get("/desk/inbox").path == "/desk/signin"
        # A group that only looks like another tenant's has no role.
        provider.person |= {"org": {"name": "morrow"}, "groups": ["halden/leads"]}
        with Visitor(api) as other:
            assert refused(other.get(SSO), 403)
        provider.person["groups"] = ["sre"]
        with Visitor(api) as root:
            assert root.get(SSO).path == "/desk/inbox"
            assert root.get(f"/desk/requirements/{items['halden'].id}").status == 404


def test_without_a_provider_nobody_signs_in_with_one(runtime: Runtime) -> None:
    with serving(runtime) as api, Visitor(api) as visitor:
        assert not any(SSO in link for link in visitor.get("/desk/signin").links)
        assert visitor.get(SSO).status == 404
        assert callback_of(visitor, state="x").status == 404


def test_the_session_is_new_and_secure_over_tls(
    runtime: Runtime, provider: IdentityProvider
) -> None:
    public = config(provider.address, public_url="https://kern.example")
    with serving(runtime, SignOn(public), public_url="https://kern.example") as api:
        headers = {"Host": "kern.example"}
        with httpx2.Client(base_url=api.address, headers=headers) as client:
            answer = client.get(SSO)
            (cookie,) = answer.headers.get_list("set-cookie")
            assert cookie.startswith("__Host-kern-form=")
            assert "Secure" in cookie
            query = parse_qs(urlsplit(answer.headers["Location"]).query)
            assert query["redirect_uri"] == ["https://kern.example/desk/signin/callback"]
            there = httpx2.get(answer.headers["Location"])
            path = there.headers["Location"].removeprefix("https://kern.example")
            client.cookies.set("__Host-kern-form", cookie.split("=", 1)[1].split(";")[0])
            done = client.get(path)
            assert done.headers["Location"] == "/desk/inbox"
            cookies = done.headers.get_list("set-cookie")
            assert any(line.startswith("__Host-kern=") and "Secure" in line for line in cookies)
            # What the sign-in was bound to is gone with it.
            assert any(line.startswith('__Host-kern-form=""') for line in cookies)


def test_an_administrator_ends_the_sessions_of_somebody(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    from kern.values.roles import Role

    assert visitor.get(SSO).path == "/desk/inbox"
    provider.person |= {"sub": "7", "preferred_username": "vera"}
    with (
        Visitor(api) as vera,
        api.as_person("root", Role.administrator) as root,
        api.as_person("elsewhere", Role.administrator, tenant="halden") as stranger,
        api.as_person("ravi") as ravi,
    ):
        assert vera.get(SSO).path == "/desk/inbox"
        items = root.get("/v1/web-sessions").json()["items"]
        assert [(item["principal"]["name"], item["method"]) for item in items] == [
            ("vera", "oidc"),
            ("dana", "oidc"),
        ]
        assert stranger.get("/v1/web-sessions").json()["items"] == []
        query = {"subject": "248289"}
        assert stranger.delete("/v1/web-sessions", params=query).status_code == 404
        assert ravi.delete("/v1/web-sessions", params=query).status_code == 403
        assert root.delete("/v1/web-sessions").status_code == 422
        assert visitor.get("/desk/inbox").path == "/desk/inbox"
        answer = root.delete("/v1/web-sessions", params=query)
        assert answer.json() == {"subject": "248289", "ended": 1}
        assert visitor.get("/desk/inbox").path == "/desk/signin"
        assert vera.get("/desk/inbox").path == "/desk/inbox"
        assert root.delete("/v1/web-sessions", params=query).status_code == 404


def test_groups_are_those_of_the_sign_in(
    api: Api, provider: IdentityProvider, visitor: Visitor
) -> None:
    provider.person["groups"] = ["lookers"]
    assert visitor.get(SSO).path == "/desk/inbox"
    provider.person["groups"] = ["sre"]
    assert "sre" not in visitor.get("/desk/inbox").text
    # Whoever signs in again has those of now, and the session of before is over.
    before = dict(visitor.http.cookies)
    assert "sre" in visitor.get(SSO).text
    with httpx2.Client(base_url=api.address, cookies=before) as thief:
        assert thief.get("/desk/inbox").status_code == 303
