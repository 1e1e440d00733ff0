"""One attempt to sign in, bound to the visitor's cookie."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from kern.client.identity.attempt import SignInAttempt
from kern.errors import Unauthenticated

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECRET = "of the cookie"


def test_an_attempt_comes_back_to_the_browser_that_began_it() -> None:
    attempt = SignInAttempt.begin("/desk/runs", NOW, is_fresh=True)
    state = attempt.state(SECRET)
    assert SignInAttempt.of(state, SECRET, NOW + timedelta(minutes=14)) == attempt
    assert "runs" not in state
    for secret in ("of another", "", None):
        with pytest.raises(Unauthenticated, match="another browser"):
            SignInAttempt.of(state, secret, NOW)


@pytest.mark.parametrize("minutes", [15, 60, -1])
def test_an_attempt_ends_after_a_while(minutes: int) -> None:
    state = SignInAttempt.begin("/desk/runs", NOW, is_fresh=False).state(SECRET)
    with pytest.raises(Unauthenticated):
        SignInAttempt.of(state, SECRET, NOW + timedelta(minutes=minutes))


def test_a_changed_state_is_none() -> None:
    state = SignInAttempt.begin("/desk/runs", NOW, is_fresh=False).state(SECRET)
    for place in range(0, len(state), 7):
        swapped = "A" if state[place] != "A" else "B"
        changed = state[:place] + swapped + state[place + 1 :]
        with pytest.raises(Unauthenticated):
            SignInAttempt.of(changed, SECRET, NOW)
    for text in ("", "x", "\u00e4", "a.b.c.d.e", state[:-1] + "=", "." * 4):
        with pytest.raises(Unauthenticated):
            SignInAttempt.of(text, SECRET, NOW)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2s": "AAAA", "p2c": 10**9},
        {"alg": "A256KW", "enc": "A256GCM"},
        {"alg": "dir", "enc": "none"},
        {"alg": "dir", "enc": "A256GCM", "crit": [5]},
        {"alg": 5, "enc": {}},
        [],
        5,
    ],
)
def test_a_state_of_another_kind_is_none(header: object) -> None:
    with pytest.raises(Unauthenticated):
        SignInAttempt.of(f"{encoded(header)}.AAAA.AAAA.AAAA.AAAA", SECRET, NOW)


def test_nonce_and_verifier_are_those_of_one_attempt_in_one_browser() -> None:
    first, second = (SignInAttempt.begin("", NOW, is_fresh=False) for _ in range(2))
    values = [first.nonce(SECRET), first.code_verifier(SECRET), second.nonce(SECRET)]
    values += [second.code_verifier(SECRET), first.nonce("x"), first.code_verifier("x")]
    assert len(set(values)) == 6
    # https://www.rfc-editor.org/rfc/rfc7636#section-4.1
    assert len(first.code_verifier(SECRET)) == 43
    again = SignInAttempt.of(first.state(SECRET), SECRET, NOW)
    assert again.nonce(SECRET) == first.nonce(SECRET)


def test_who_has_to_prove_again_who_they_are_does() -> None:
    fresh = SignInAttempt.begin("", NOW, is_fresh=True)
    assert not fresh.is_satisfied_by(None)
    assert not fresh.is_satisfied_by(NOW - timedelta(minutes=2))
    assert fresh.is_satisfied_by(NOW - timedelta(seconds=30))
    assert SignInAttempt.begin("", NOW, is_fresh=False).is_satisfied_by(None)
