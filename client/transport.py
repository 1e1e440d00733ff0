"""Says in a few words why a call to Temporal failed, from what its native part says in many."""

import re

_NATIVE = "tonic::"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CERTIFICATE = re.compile(r"InvalidCertificate\((?P<why>\w+)")


def reason(error: BaseException) -> str:
    """Return why: the innermost cause, without the types that it was wrapped in."""
    text = str(error).strip()
    if isinstance(error, TimeoutError):
        return text or "no answer in time"
    if _NATIVE not in text:
        return text or type(error).__name__
    certificate = _CERTIFICATE.search(text)
    if certificate is not None:
        return f"its certificate is not accepted ({certificate['why']})"
    if "InvalidMessage" in text:
        return "it does not speak TLS"
    said = _QUOTED.findall(text)
    return str(said[-1]) if said else text
