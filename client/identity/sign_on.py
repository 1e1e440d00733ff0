"""Single sign-on: who comes in with an identity provider, in a browser or with its tokens."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kern.client.identity.attempt import SignInAttempt
from kern.client.identity.claims import ClaimMapping
from kern.client.identity.code_flow import Answer, CodeFlow, Identified
from kern.client.identity.configuration import IdentityConfig, identity_config
from kern.client.identity.provider import Provider
from kern.client.identity.tokens import access_token_claims
from kern.contracts.caller import Caller
from kern.errors import KernError, NotAllowed, Unauthenticated
from kern.process.clock import utc_now
from kern.process.logs import get_logger
from kern.process.settings import Settings

_log = get_logger("kern.access")

# That somebody calls with tokens of the provider is logged so often.
_LOG_SECONDS = 60.0
_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class SignedIn:
    """Somebody who has signed in, and where they were going."""

    caller: Caller
    next_url: str


class SignOn:
    """Knows people and programs by one identity provider.

    Args:
        config: How Kern knows the provider.
        clock: Returns the time in seconds; default: the monotonic clock.
    """

    def __init__(self, config: IdentityConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._provider = Provider(config.issuer, clock)
        self._mapping = ClaimMapping(config.claims, config.roles)
        self._flow = (
            None if config.client_id is None else CodeFlow(config, self._provider, config.client_id)
        )
        self._logged: dict[tuple[str, str], float] = {}

    @property
    def has_console(self) -> bool:
        """Whether people sign in to the console with it."""
        return self._flow is not None

    async def begin(self, secret: str, next_url: str, site: str, *, is_fresh: bool = False) -> str:
        """Return the address at the provider where somebody signs in.

        Args:
            secret: That of the visitor's cookie, with which they have to come back.
            next_url: Where they are going.
            site: The address of the console, if no public one is configured.
            is_fresh: Whether they have to prove who they are although they are signed in there.

        Raises:
            Unavailable: the provider does not answer.
        """
        attempt = SignInAttempt.begin(next_url, utc_now(), is_fresh=is_fresh)
        return await self._console_flow.address(attempt, secret, self._site(site))

    async def finish(self, answer: Answer, secret: str | None, site: str) -> SignedIn:
        """Return who has come back from the provider.

        Raises:
            Unauthenticated: another browser began this, the provider refuses them, or its token or
                a claim is refused.
            NotAllowed: none of their groups has a role here.
            Unavailable: the provider does not answer.
        """
        try:
            attempt = SignInAttempt.of(answer.state, secret, utc_now())
            caller = await self._caller(attempt, answer, secret or "", self._site(site))
        except KernError as error:
            _log.warning("sign_in_refused", code=error.code, why=_reason(error))
            raise
        return SignedIn(caller, attempt.next_url)

    def next_url(self, answer: Answer, secret: str | None) -> str:
        """Return where somebody was going who comes back; an empty text if that is unknown."""
        try:
            return SignInAttempt.of(answer.state, secret, utc_now()).next_url
        except Unauthenticated:
            return ""

    async def caller_of(self, token: str) -> Caller:
        """Return who calls with an access token of the provider.

        Raises:
            Unauthenticated: it was not made for this API, is expired, or a claim is refused.
            NotAllowed: none of their groups has a role here.
            Unavailable: the provider's keys are unknown, and it does not answer.
        """
        audience = self._config.audience
        try:
            if audience is None:
                message = (
                    "The API takes no tokens of the identity provider: KERN_OIDC_AUDIENCE is not "
                    "set. Call with a token of `kern token create`."
                )
                raise Unauthenticated(message)
            claims = await access_token_claims(self._provider, token, audience)
            caller = self._mapping.caller(claims, (await self._provider.document()).issuer)
        except KernError as error:
            _log.warning("token_refused", method="oidc", code=error.code, why=_reason(error))
            raise
        self._log_use(caller)
        return caller

    async def _caller(
        self, attempt: SignInAttempt, answer: Answer, secret: str, site: str
    ) -> Caller:
        flow = self._console_flow
        person: Identified = await flow.identify(attempt, answer, secret, site)
        claims = person.claims
        if not self._mapping.are_complete(claims):
            claims = await flow.more_claims(person)
        caller = self._mapping.person(claims, (await self._provider.document()).issuer)
        if not attempt.is_satisfied_by(caller.authenticated_at):
            message = (
                "The identity provider does not say that you have just authenticated (auth_time). "
                "Sign out there, or ask an administrator."
            )
            raise Unauthenticated(message)
        return caller

    @property
    def _console_flow(self) -> CodeFlow:
        if self._flow is None:
            message = "Nobody signs in with the identity provider here. Use a token."
            raise Unauthenticated(message)
        return self._flow

    def _site(self, site: str) -> str:
        return self._config.public_url or site

    def _log_use(self, caller: Caller) -> None:
        principal, now = caller.principal, self._clock()
        key = (principal.tenant, principal.subject)
        if now - self._logged.get(key, -_LOG_SECONDS) < _LOG_SECONDS:
            return
        if len(self._logged) >= _MOST_CALLERS:
            self._logged.clear()
        self._logged[key] = now
        _log.info("token_used", method="oidc", subject=principal.subject, kind=principal.kind.value)


def configured_sign_on(settings: Settings, *, is_open: bool) -> SignOn | None:
    """Return what knows people by the configured identity provider; None without one.

    Nothing is asked of the provider yet: a server starts although it is away.

    Raises:
        InvalidInput: the settings contradict each other.
    """
    config = identity_config(settings, is_open=is_open)
    return None if config is None else SignOn(config)


def _reason(error: KernError) -> str:
    """Return why, for the log; who has no role is named there, since it helps whoever gives them.

    No message has a token, a code or a secret in it.
    """
    return str(error) if isinstance(error, (NotAllowed, Unauthenticated)) else type(error).__name__
