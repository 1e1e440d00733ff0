"""Who acts: whoever was authenticated, before whoever is named."""

from kern.contracts.viewer import Viewer, system_user
from kern.values.names import person_name
from kern.values.principals import Principal


def actor_of(viewer: Viewer, by: str | Principal | None) -> str | Principal:
    """Return who acts for a viewer; without anybody named, the user of this machine.

    Raises:
        InvalidInput: the name can be none.
    """
    if viewer.principal is not None:
        # The operator of this machine acts in every tenant, as a local claim in each.
        is_everywhere = viewer.tenant is None and viewer.principal.is_local
        return viewer.principal.name if is_everywhere else viewer.principal
    if isinstance(by, Principal):
        return by
    return person_name("by", by or viewer.user_id or system_user())
