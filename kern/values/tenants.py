"""Names of tenants: the parts of an installation that know nothing of each other."""

import unicodedata

from kern.errors import InvalidInput
from kern.values.ids import require_id
from kern.values.invisible import is_invisible
from kern.values.misreadings import misread
from kern.values.validation import described

# Where nobody names a tenant.
DEFAULT_TENANT = ""
# So much of a name is repeated in a message.
_MESSAGE_LENGTH = 200


def tenant_name(label: str, value: object) -> str:
    """Return the name of a tenant, as it is stored and compared; the default tenant's is empty.

    Raises:
        InvalidInput: it is no text, too long, or could be taken for another name: it begins or ends
            with a blank, is not in the form in which Unicode composes it (NFKC), or has characters
            that cannot be seen or are read as others, such as those of two scripts in a word.
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
    place = next((place for place, char in enumerate(name) if is_invisible(char)), None)
    if place is None:
        place = min(misread(name), default=None)
    if place is not None:
        message = (
            f"{label} is {ascii(name)[:_MESSAGE_LENGTH]}: U+{ord(name[place]):04X} in it cannot be "
            "seen or looks like another character. Type the name again, in one alphabet."
        )
        raise InvalidInput(message)
    return name
