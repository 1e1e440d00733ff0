"""What every route documents: the problems that it may answer with."""

from typing import Any

from kern.client.web.problems import MEDIA_TYPE, Problem

_WORDS = {
    400: "The request cannot be read.",
    401: "There is no token, or it lets nobody in.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller does not reach it.",
    409: "It is in another state than the caller assumes.",
    410: "It is closed: its deadline has passed, or it was cancelled.",
    413: "The request is too large.",
    422: "A value is refused.",
    429: "Too many decisions.",
    500: "An error in Kern itself.",
    503: "A part of Kern does not answer.",
}
_SCHEMA = {"$ref": "#/components/schemas/Problem"}

# With the model once, so that the document has its schema; the others refer to it.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status, words in _WORDS.items()
}
