"""Programs and people who call the API with access tokens of an identity provider."""

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from kern.client.identity.configuration import ClaimNames
from kern.client.identity.sign_on import SignOn
from kern.client.processes.runtime import Runtime
from kern.models.scripted import Call
from kern.tenants import tenant
from kern.values.roles import Role
from tests.support.agents import Ledger, paying, scripted
from tests.support.api import Api, serving
from tests.support.identity import API, CLIENT, IdentityProvider, config

PERSON = {"sub": "248289", "preferred_username": "dana", "scp": "decide"}


class Clock:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(runtime: Runtime, provider: IdentityProvider, clock: Clock) -> Iterator[Api]:
    with serving(runtime, SignOn(config(provider.address), clock)) as served:
        yield served


def me(api: Api, token: str) -> httpx2.Response:
    with api.client(token) as client:
        return client.get("/v1/me")


def refused(answer: httpx2.Response, status: int, text: str) -> bool:
    body = answer.json()
    return answer.status_code == status and text in body["detail"]


def test_a_service_calls_with_a_token_of_the_provider(api: Api, provider: IdentityProvider) -> None:
    body = me(api, provider.access_token(client_id="robots")).json()
    assert body["principal"] == {
        "issuer": provider.address,
        "subject": "svc-1",
        "name": "robots",
        "kind": "service",
        "groups": ["finance-leads"],
        "tenant": "",
    }
    assert (body["roles"], body["method"]) == (["operator"], "oidc")


def test_a_person_decides_with_a_token_of_the_provider_and_a_service_does_not(
    api: Api, provider: IdentityProvider, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    (item,) = agent.run("Pay").active_requirements
    url = f"/v1/requirements/{item.id}/decisions"
    body = {"verdict": "approve", "digest": item.digest[:12]}
    # However they are marked, programs decide nothing.
    programs: list[dict[str, Any]] = [
        {"scp": None},
        {"sub": "robots", "client_id": "robots"},
        {"sub": "robots", "azp": "robots"},
        {"idtyp": "app"},
        {"gty": "client-credentials"},
        {"preferred_username": "service-account-robots"},
        {"act": {"sub": "an-agent"}},
    ]
    for claims in programs:
        with api.client(provider.access_token(**{**PERSON, **claims})) as client:
            answer = client.post(url, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "person_required"), claims
    with api.client(provider.access_token(**PERSON)) as client:
        answer = client.post(url, json=body)
        assert answer.status_code == 201
        by = answer.json()["decision"]["by"]
        assert (by["subject"], by["name"], by["kind"]) == ("248289", "dana", "person")


def test_without_a_claim_of_people_every_token_is_a_service(
    runtime: Runtime, provider: IdentityProvider
) -> None:
    plain = config(provider.address, claims=ClaimNames())
    with serving(runtime, SignOn(plain)) as api:
        kind = me(api, provider.access_token(**PERSON)).json()["principal"]["kind"]
        assert kind == "service"


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"aud": "another-api"}, "aud"),
        ({"aud": CLIENT}, "aud"),
        ({"aud": None}, "aud"),
        ({"iss": "https://another.example"}, "iss"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "4000000000"}, "exp"),
        ({"nbf": 4_000_000_000}, "nbf"),
        ({"iat": 4_000_000_000}, "iat"),
        ({"iat": None}, "iat"),
        ({"sub": None}, "sub"),
        ({"typ": "ID"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
        ({"at_hash": "x"}, "no access token"),
        ({"events": {}}, "no access token"),
        ({"groups": ["strangers"]}, "strangers"),
        ({"groups": "fin\u200bance"}, "'groups'"),
    ],
)
def test_a_token_that_was_not_made_for_this_api_is_refused(
    api: Api, provider: IdentityProvider, claims: dict[str, Any], text: str
) -> None:
    token = provider.access_token(**{**PERSON, **claims})
    answer = me(api, token)
    status = 403 if text == "strangers" else 401
    assert refused(answer, status, text)
    assert token not in answer.text
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_id_token_does_not_call_the_api(api: Api, provider: IdentityProvider) -> None:
    id_token = provider.token({**provider.person, "aud": CLIENT, "nonce": "n"})
    assert refused(me(api, id_token), 401, "aud")
    # A provider that puts the API into every audience changes nothing about what it is.
    both = provider.token({**provider.person, "aud": [CLIENT, API], "at_hash": "x"})
    assert refused(me(api, both), 401, "no access token")
    for kind in ("logout+jwt", "dpop+jwt", "secevent+jwt"):
        other = provider.token({**PERSON, "aud": API}, {"typ": kind})
        assert refused(me(api, other), 401, "no access token")
    fitting = {**PERSON, "aud": [API, "another"], "groups": ["sre"]}
    assert me(api, provider.token(fitting, {"typ": "at+jwt"})).status_code == 200


def test_a_forged_token_is_refused(api: Api, provider: IdentityProvider) -> None:
    genuine = provider.access_token(**PERSON)
    head, body, signature = genuine.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    kid = provider.keys[-1].kid
    public = provider.keys[-1].as_pem(private=False)
    stranger = RSAKey.generate_key(2048)

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    # The library refuses to make it: the public key as a secret that both sides share.
    symmetric = f"{encoded({'alg': 'HS256', 'kid': kid})}.{body}"
    code = base64.urlsafe_b64encode(hmac.digest(public, symmetric.encode(), "sha256"))
    critical = {"alg": "RS256", "kid": kid, "crit": ["exp"], "exp": 1}
    own_key = {"alg": "RS256", "jwk": stranger.as_dict(private=False)}
    forged = [
        f"{encoded({'alg': 'none'})}.{body}.",
        f"{encoded({'alg': 'none', 'kid': kid})}.{body}.{signature}",
        f"{symmetric}.{code.rstrip(b'=').decode()}",
        jwt.encode({"alg": "RS256", "kid": kid}, claims, stranger),
        f"{head}.{encoded({**claims, 'groups': ['sre']})}.{signature}",
        f"{encoded(critical)}.{body}.{signature}",
        f"{encoded(own_key)}.{body}.AA",
        f"{encoded({**critical, 'crit': [5]})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': kid})}.{body}.{signature}",
        f"{encoded({'alg': ['RS256'], 'kid': kid})}.{body}.{signature}",
        f"{encoded({'alg': 'RS256', 'kid': {}})}.{body}.{signature}",
        f"{encoded([])}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{genuine}.x.y",
        "x",
        "a.b.c",
    ]
    for token in forged:
        answer = me(api, token)
        assert refused(answer, 401, "not signed by the identity provider"), token[:60]
    assert me(api, genuine).status_code == 200


def test_tokens_of_kern_are_its_own(api: Api, provider: IdentityProvider) -> None:
    assert me(api, api.token("ravi").secret).json()["principal"]["issuer"] == "kern-token"
    provider.is_down = True
    assert refused(me(api, "kern_wrong"), 401, "unknown")
    assert not provider.requests


def test_keys_that_are_known_serve_while_the_provider_is_away(
    api: Api, provider: IdentityProvider, clock: Clock
) -> None:
    token = provider.access_token(**PERSON)
    provider.is_down = True
    answer = me(api, token)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    provider.is_down = False
    clock.now += 2
    assert me(api, token).status_code == 200
    provider.is_down = True
    for hours in (1, 12, 22):
        clock.now = 1_000 + hours * 3600
        assert me(api, token).status_code == 200
    # Long enough: who knows what was revoked there meanwhile.
    clock.now = 1_000 + 30 * 3600
    assert me(api, token).status_code == 503


def test_a_new_key_is_found_at_once_and_unknown_ones_are_looked_for_seldom(
    api: Api, provider: IdentityProvider, clock: Clock
) -> None:
    assert me(api, provider.access_token(**PERSON)).status_code == 200
    provider.rotate()
    fresh = provider.access_token(**PERSON)
    assert me(api, fresh).status_code == 200
    strange = provider.token({**PERSON, "aud": API}, {"kid": "another"})
    for _ in range(5):
        assert refused(me(api, strange), 401, "not signed")
    assert provider.requests.count("/jwks") == 2
    clock.now += 6
    assert refused(me(api, strange), 401, "not signed")
    assert provider.requests.count("/jwks") == 3
    assert me(api, fresh).status_code == 200


def test_a_key_that_was_withdrawn_is_forgotten_after_a_while(
    api: Api, provider: IdentityProvider, clock: Clock
) -> None:
    from tests.support.waiting import wait_until

    old = provider.access_token(**PERSON)
    assert me(api, old).status_code == 200
    provider.rotate()
    assert me(api, old).status_code == 200
    clock.now += 700
    # The one that finds the keys old has them fetched, and does not wait for that.
    wait_until(lambda: me(api, old).status_code == 401)


def test_a_tenant_of_a_token_reaches_its_own_things(
    runtime: Runtime, provider: IdentityProvider, ledger: Ledger
) -> None:
    with tenant("halden"):
        agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
        (item,) = agent.run("Pay").active_requirements
    scoped = config(
        provider.address,
        claims=ClaimNames(tenant="tenant", person="scp"),
        roles={"halden/leads": (Role.operator,), "morrow/leads": (Role.operator,)},
    )
    with serving(runtime, SignOn(scoped)) as api:
        for name, status in (("halden", 200), ("morrow", 404)):
            token = provider.access_token(**PERSON, tenant=name, groups=["leads"])
            with api.client(token) as client:
                assert client.get(f"/v1/requirements/{item.id}").status_code == status
        assert refused(me(api, provider.access_token(groups=["leads"])), 401, "'tenant'")


def test_an_api_without_an_audience_takes_no_tokens_of_the_provider(
    runtime: Runtime, provider: IdentityProvider
) -> None:
    with serving(runtime, SignOn(config(provider.address, audience=None))) as api:
        assert refused(me(api, provider.access_token(**PERSON)), 401, "KERN_OIDC_AUDIENCE")


def test_what_comes_in_is_logged_without_its_token(
    api: Api, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kern.access")
    good = provider.access_token(**PERSON)
    bad = provider.access_token(aud="another")
    for _ in range(3):
        me(api, good)
    me(api, bad)
    texts = [record.getMessage() for record in caplog.records if record.name == "kern.access"]
    assert sum("token_used" in text for text in texts) == 1
    assert sum("token_refused" in text for text in texts) == 1
    log = "\n".join(texts)
    assert good not in log
    assert bad.rsplit(".", 1)[1] not in log
