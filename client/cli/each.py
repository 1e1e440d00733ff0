"""Decides or triages several requirements, each on its own, and prints what became of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from kern.client.cli.printing import one_line, say, say_json, styled
from kern.errors import KernError
from kern.requirements import Requirement
from kern.values.canonical import arguments_digest


@dataclass(frozen=True)
class Report:
    """What became of one requirement: for programs, and in lines for people."""

    document: dict[str, JsonValue]
    lines: tuple[str, ...]


def report_each(
    ids: Sequence[str],
    act: Callable[[str], Report | None],
    *,
    as_json: bool,
    refusal: str = "Not decided",
) -> int:
    """Decide, or triage, each requirement and print what became of it.

    A single one that is refused raises as it always did. Of several, each has a result of its own,
    and the others are acted on all the same.

    Args:
        ids: Their ids; what is named twice is acted on once.
        act: Acts on one; None if the person left it open.
        as_json: Whether it is printed for programs: a single one as it always was, several as
            `{"results": [...]}`.
        refusal: What is printed before the reason why one of several was refused.

    Returns:
        The exit code: that of the first error, or 0.
    """
    first, *others = names = list(dict.fromkeys(ids))
    if not others:
        report = act(first)
        if report is not None and as_json:
            say_json(report.document)
        elif not as_json:
            _say(report)
        return 0
    code = 0
    documents: list[JsonValue] = []
    for name in names:
        try:
            report = act(name)
        except KernError as error:
            code = code or error.exit_code
            message = str(error)
            documents.append({"id": name, "error": {"code": error.code, "message": message}})
            if not as_json:
                say(styled(f"{refusal}: {one_line(name)}: {one_line(message)}", "red"))
            continue
        documents.append({"id": name, **(report.document if report else {"accepted": False})})
        if not as_json:
            _say(report)
    if as_json:
        say_json({"results": documents})
    return code


def digest_among(digests: Sequence[str], item: Requirement) -> str | None:
    """Return which of the digests on the command line is about a requirement.

    If none is, the first one: the service says what it should be. None if there are no digests.
    """
    edit = item.draft.edit if item.draft is not None else None
    edited = [] if edit is None else [{**item.arguments, **edit}]
    known = [
        item.digest,
        item.current_digest,
        *(proposal.digest for proposal in item.proposals),
        *(arguments_digest(item.tool_name or "", arguments) for arguments in edited),
    ]
    fitting = [each for each in digests if any(digest.startswith(each) for digest in known)]
    return next(iter([*fitting, *digests]), None)


def _say(report: Report | None) -> None:
    for line in ("Nothing was decided.",) if report is None else report.lines:
        say(line)
