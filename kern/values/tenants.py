"""Names of tenants: the parts of an installation that know nothing of each other."""

import unicodedata

from kern.errors import InvalidInput
from kern.values.ids import require_id
from kern.values.validation import described

# Where nobody names a tenant.
DEFAULT_TENANT = ""


def tenant_name(label: str, value: object) -> str:
    """Return the name of a tenant, as it is stored and compared; the default tenant's is empty.

    Raises:
        InvalidInput: it is no text, too long, or could be taken for another name: it begins or ends
            with a blank, or is not in the form in which Unicode composes it (NFKC).
    """
    if value == DEFAULT_TENANT:
        return DEFAULT_TENANT
    name = require_id(label, value)
    if name != unicodedata.normalize("NFKC", name).strip():
        message = (
            f"{label} is {described(name)}: it begins or ends with a blank, or has characters that "
            "look like others. Give it as `unicodedata.normalize('NFKC', name).strip()` returns it."
        )
        raise InvalidInput(message)
    return name
