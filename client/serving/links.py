"""The link with which whoever runs the processes of this machine opens the console."""

from kern.client.console.addresses import link_url
from kern.client.service.service import Service
from kern.contracts.caller import Caller
from kern.contracts.viewer import system_user
from kern.process.settings import Settings
from kern.values.names import person_name
from kern.values.principals import LOCAL, Principal
from kern.values.roles import Role
from kern.values.tenants import DEFAULT_TENANT


async def desk_link(service: Service, settings: Settings, port: int) -> str:
    """Return a link that signs this machine's operator in, once, within an hour.

    Who opens it is a local claim, as the command line's is: whoever reads the link is that person.
    """
    name = person_name("KERN_BY", settings.by or system_user())
    tenant = settings.tenant
    principal = Principal(
        issuer=LOCAL, subject=name, name=name, tenant=DEFAULT_TENANT if tenant is None else tenant
    )
    caller = Caller(principal, (Role.administrator,), "link", all_tenants=tenant is None)
    secret = await service.access.make_link(caller)
    return f"{site(settings, port)}{link_url(secret)}"


def site(settings: Settings, port: int, host: str | None = None) -> str:
    """Return the address at which people reach the console; default host: the settings'."""
    name = host or settings.host
    literal = f"[{name}]" if ":" in name else name
    return settings.public_url or f"http://{literal}:{port}"
