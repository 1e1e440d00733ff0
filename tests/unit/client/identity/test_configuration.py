"""How the settings name an identity provider, and what they must not say."""

from typing import Any

import pytest
from pydantic import SecretStr

from kern.client.identity.configuration import identity_config
from kern.errors import InvalidInput
from kern.process.settings import Settings

FITTING: dict[str, Any] = {
    "oidc_issuer": "https://sso.example",
    "oidc_client_id": "kern",
    "roles": '{"sre": ["administrator"]}',
}


def settings(**changes: Any) -> Settings:  # noqa: ANN401  any of them
    values: dict[str, Any] = {**FITTING, **changes}
    return Settings(**values)


def test_without_an_issuer_there_is_no_provider() -> None:
    assert identity_config(Settings()) is None
    # As a compose file leaves out what nobody has set.
    empty = Settings(oidc_issuer="", oidc_client_id="", oidc_client_secret=SecretStr(""))
    assert identity_config(empty) is None


def test_settings_name_a_provider() -> None:
    config = identity_config(settings(oidc_client_secret=SecretStr("s")))
    assert config is not None
    assert (config.issuer, config.client_id, config.client_secret) == (
        "https://sso.example",
        "kern",
        "s",
    )
    public = identity_config(settings(oidc_client_secret=SecretStr("")))
    assert public is not None
    assert public.client_secret is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"oidc_issuer": None}, "KERN_OIDC_ISSUER is not"),
        ({"oidc_issuer": "http://sso.example"}, "https address"),
        ({"oidc_issuer": "sso.example"}, "https address"),
        ({"oidc_issuer": "https://sso.example?a=b"}, "without a query"),
        ({"oidc_client_id": None}, "KERN_OIDC_AUDIENCE for the API"),
        ({"oidc_audience": "kern"}, "the same as KERN_OIDC_CLIENT_ID"),
        ({"roles": "{}"}, "KERN_ROLES is empty"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        identity_config(settings(**changes))


def test_a_server_that_others_reach_needs_its_public_address() -> None:
    with pytest.raises(InvalidInput, match="KERN_PUBLIC_URL is missing"):
        identity_config(settings(), is_open=True)
    public = settings(public_url="https://kern.example/")
    config = identity_config(public, is_open=True)
    assert config is not None
    assert config.public_url == "https://kern.example"
    api_only = settings(oidc_client_id=None, oidc_audience="api")
    assert identity_config(api_only, is_open=True) is not None


def test_a_provider_on_this_machine_needs_no_tls() -> None:
    for issuer in ("http://127.0.0.1:8080/realms/kern", "http://localhost:9", "http://[::1]:9"):
        assert identity_config(settings(oidc_issuer=issuer)) is not None
