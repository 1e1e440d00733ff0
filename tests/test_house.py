"""Holds the code to the caps and bans of the house style."""

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The folders that hold the files: through its links, `kern` would count some of them twice.
FOLDERS = ("kern", "workflows", "activities", "client")
BARE_NAMES = {"workflows", "activities", "client", "worker"}
BROAD_EXCEPTS = Path(__file__).with_name("broad_excepts.txt")
# Pronouns, participles and verbs in the third person. A name says what the thing is (STYLE.md,
# "Words"): `requirement`, `lease`, `child_run`. These say of nothing what it is, so that a reader
# has to find it out at every place. Participles that the field itself uses for a state or an event
# (`read`, `done`, `failed`, `opened`, `cancelled`) are no part of this.
FOREIGN = {
    *("one", "ones", "other", "others", "another", "it", "this", "that", "these", "those"),
    *("some", "such", "both", "each", "what", "who", "whom", "which", "whose"),
    *("nothing", "none", "nobody", "everybody", "somebody"),
    *("given", "told", "said", "asked", "found", "came", "come", "made", "known", "taken"),
    *("held", "heard", "shown", "kept", "left", "seen", "meant", "gone", "begun", "began"),
    *("wanted", "needed", "chosen", "spoken"),
    *("is_waiting", "asks", "begins", "ends", "stands", "tells", "says", "knows", "goes", "comes"),
    *("did", "own", "mine", "ours", "theirs", "they", "everything", "anything", "something"),
    *("anybody", "everyone", "anyone", "someone", "got", "met", "won", "built", "drawn"),
    *("brought", "thought", "named", "declared", "typed", "passed", "served", "settled", "born"),
    *("grown", "answered", "decided", "called", "looked", "beside"),
}
# These are foreign as a part of a longer name, too: `told_by`, `what_follows`, `stands_still`.
FOREIGN_PARTS = {
    *("told", "said", "asked", "given", "came", "what", "stands", "goes", "heard"),
    *("nobody", "somebody", "whom", "who"),
}
MOST_FOREIGN = 0.005
# Prose and output say it in the field's terms: notify, report, say, outcome, idle, child, wake-up.
FOREIGN_PROSE = re.compile(
    r"\b(told|tells|telling|bells?|sign of life|counts as dead|stands? still|(what|it) came to"
    r"|story of|chain is whole|inside this one)\b"
)
# A signal of the workflows has this name in recorded histories.
OLD_SIGNAL = re.compile(r"\bname=\"told\"|, \"told\", ")
# What the unit tests hold of themselves.
OF_NO_MODULE = {"tests/unit/test_no_servers.py"}
# Spelled so that this file does not hold them.
UNFINISHED = ("TO" + "DO", "FIX" + "ME")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir() and entry.name != "migrations":
            yield from walk(entry)
        elif entry.suffix == ".py":
            yield entry


def product() -> list[Path]:
    modules = [path for folder in FOLDERS for path in walk(ROOT / folder)]
    return [*modules, *ROOT.glob("worker.py")]


def everything() -> list[Path]:
    folders = [ROOT / name for name in ("tests", "benchmarks", "examples", "app")]
    return [*product(), *(path for folder in folders if folder.exists() for path in walk(folder))]


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's place and its lines, less those of its docstring."""
    for node in ast.walk(parse(path)):
        if isinstance(node, Function):
            yield f"{name(path)}:{node.lineno} {node.name}", length(node)


def length(function: Function) -> int:
    last = function.end_lineno or function.lineno
    lines = last - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    """Tell whether any error may end here; one that is raised again after cleaning up does not."""
    if any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler)):
        return False
    if handler.type is None:
        return True
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}
        for node in ast.walk(handler.type)
    )


def has_broad_except(path: Path) -> bool:
    handlers = (node for node in ast.walk(parse(path)) if isinstance(node, ast.ExceptHandler))
    return any(swallows_everything(handler) for handler in handlers)


def listed_broad_excepts() -> dict[str, str]:
    lines = BROAD_EXCEPTS.read_text(encoding="utf-8").splitlines()
    entries = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {path.strip(): reason.strip() for path, _, reason in entries}


def bound_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of whatever a module names: functions, arguments, variables."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.ExceptHandler(name=str(bound)) | ast.MatchAs(name=str(bound)):
                yield node.lineno, bound
            case ast.MatchStar(name=str(bound)) | ast.MatchMapping(rest=str(bound)):
                yield node.lineno, bound
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((node.lineno, item.asname) for item in aliases if item.asname)
            case _:
                pass


def is_foreign(bound: str) -> bool:
    plain = bound.strip("_").lower()
    return plain in FOREIGN or not FOREIGN_PARTS.isdisjoint(plain.split("_"))


def module_of(path: Path) -> Path:
    """Return the module whose tests a file below tests/unit holds."""
    place = path.relative_to(ROOT / "tests" / "unit")
    return ROOT / "kern" / place.with_name(place.name.removeprefix("test_"))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_is_longer_than_400_lines() -> None:
    too_long = {name(path): lines_of(path) for path in product() if lines_of(path) > 400}
    # Written from the tables, a few lines for each column.
    too_long.pop("kern/db/engine/records.py", None)
    assert not too_long


def test_half_of_the_modules_have_150_lines_or_fewer() -> None:
    assert statistics.median(lines_of(path) for path in product()) <= 150


def test_no_function_is_longer_than_60_lines() -> None:
    found = (place for path in product() for place in functions(path))
    assert not {place: lines for place, lines in found if lines > 60}


def test_half_of_the_functions_have_10_lines_or_fewer() -> None:
    assert statistics.median(lines for path in product() for _, lines in functions(path)) <= 10


def test_names_say_what_things_are() -> None:
    bound = [
        (f"{name(path)}:{line} {word}", is_foreign(word))
        for path in product()
        for line, word in bound_names(path)
    ]
    foreign = [place for place, counts in bound if counts]
    share = len(foreign) / len(bound)
    assert share <= MOST_FOREIGN, f"{share:.1%} of all names:\n" + "\n".join(foreign)


def test_every_module_opens_with_a_docstring() -> None:
    assert not [name(path) for path in everything() if ast.get_docstring(parse(path)) is None]


def test_the_unit_tests_mirror_the_package() -> None:
    files = {path for path in walk(ROOT / "tests" / "unit") if path.name.startswith("test_")}
    assert {name(path) for path in files if not module_of(path).exists()} == OF_NO_MODULE


@pytest.mark.parametrize("word", UNFINISHED)
def test_nothing_is_left_for_later(word: str) -> None:
    texts = {name(path): path.read_text(encoding="utf-8") for path in everything()}
    assert not [path for path, text in texts.items() if word in text]


def test_broad_excepts_stand_only_where_the_list_gives_a_reason() -> None:
    listed = listed_broad_excepts()
    assert {name(path) for path in product() if has_broad_except(path)} == set(listed)
    assert all(listed.values())


def test_no_code_imports_the_folders_by_their_bare_names() -> None:
    found = {name(path): BARE_NAMES & set(imported(path)) for path in everything()}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize("folder", ["workflows", "activities", "client"])
def test_the_folders_are_linked_into_the_package(folder: str) -> None:
    link = ROOT / "kern" / folder
    assert link.is_symlink(), "check the repository out with core.symlinks=true"
    assert link.readlink() == Path("..") / folder


def test_prose_and_output_use_the_terms_of_the_field() -> None:
    found = [
        f"{name(path)}:{number} {line.strip()}"
        for path in (*product(), *pages())
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FOREIGN_PROSE.search(OLD_SIGNAL.sub("", line))
    ]
    assert not found, "\n".join(found)
