"""An import that runs up between two layers, or past a guard, fails `make lint`."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = Path(sys.executable).with_name("lint-imports")
# Of each contract: a module, and what it must not import.
FORBIDDEN = {
    "The wings of kern": ("kern.values.ids", "kern.process.clock"),
    "The rooms of the store": ("kern.db.engine.columns", "kern.db.journal.outbox"),
    "The rooms of the client": ("kern.client.server.locks", "kern.client.service.runs"),
    "Surfaces call the service, never the store": (
        "kern.client.cli.delays",
        "kern.db.engine.store",
    ),
    "What works over HTTP needs no database and no Temporal": (
        "kern.client.remote.pages",
        "sqlalchemy",
    ),
    "The console renders what it is handed, and reads nothing": (
        "kern.client.console.frame",
        "kern.client.service.runs",
    ),
    "Of kern, workflows see four contracts only": ("kern.workflows.gate", "kern.run"),
    "Workflows reach no database, network or log, by whatever way": (
        "kern.workflows.gate",
        "sqlalchemy",
    ),
    "Only workflows and the client import activities": ("kern.agent", "kern.activities.attempt"),
    "Only the client imports workflows": ("kern.agent", "kern.workflows.gate"),
    "Nothing below imports the client": ("kern.agent", "kern.client.service.runs"),
    "What users import knows no Temporal": ("kern.agent", "temporalio"),
}
# Any import that runs up closes a circle.
NO_CIRCLES = "No circles between modules or packages"


def contracts() -> set[str]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"] for contract in configuration["tool"]["importlinter"]["contracts"]}


def lint(folder: Path) -> str:
    done = subprocess.run(
        [str(LINT), "--no-cache", "--no-logo"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy of the package with all of the forbidden imports."""
    copy = tmp_path_factory.mktemp("layers")
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    # What the links lead to is copied in their place.
    shutil.copytree(ROOT / "kern", copy / "kern", ignore=left_out)
    shutil.copy2(ROOT / "pyproject.toml", copy)
    for importer, imported in FORBIDDEN.values():
        path = copy.joinpath(*importer.split(".")).with_suffix(".py")
        with path.open("a", encoding="utf-8") as module:
            module.write(f"\nimport {imported}\n")
    return lint(copy)


def broken(report: str) -> dict[str, str]:
    """Return what the report says of each contract that is broken."""
    _, _, details = report.partition("Broken contracts")
    parts = re.split(r"^(.+)\n-+\n", details, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_contract_has_an_import_that_it_forbids() -> None:
    assert contracts() == {*FORBIDDEN, NO_CIRCLES}


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(report: str, contract: str) -> None:
    details = broken(report)[contract]
    importer, imported = FORBIDDEN[contract]
    assert re.search(rf"{re.escape(importer)} -> {re.escape(imported)}\b", details), details


def test_a_circle_breaks_its_contract(report: str) -> None:
    details = broken(report)[NO_CIRCLES]
    for package in ("kern", "kern.db", "kern.client"):
        assert f"No cycles are allowed in {package}." in details


def test_the_package_as_it_is_breaks_none() -> None:
    assert f"{len(FORBIDDEN) + 1} kept, 0 broken" in lint(ROOT)


# The places where code loads a module by its name, so that the linter sees no import: each with
# what it may load. `kern.client.processes.app` loads the modules of users, whose names it is given.
BY_NAME = {
    "kern/components/runner.py": {
        "kern.client.processes.process_runtime",
        "kern.client.remote.runtime",
    },
    "kern/testing.py": {"kern.client.processes.process_runtime"},
    "client/processes/app.py": set[str](),
}
_LOADERS = {"import_module", "__import__", "resolve_name", "run_module", "spec_from_file_location"}


def loads_by_name(source: str) -> bool:
    """Whether a module's code loads another by a name that is a value."""
    return any(
        isinstance(node, ast.Call)
        and (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) in _LOADERS
        for node in ast.walk(ast.parse(source))
    )


def names_of_modules(source: str) -> set[str]:
    """Return the texts in a module's code that are names of Kern's modules."""
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {
        text
        for text in texts
        if isinstance(text, str)
        and re.fullmatch(r"kern(\.\w+)+", text)
        and ROOT.joinpath(*text.split(".")).with_suffix(".py").exists()
    }


def test_modules_are_loaded_by_name_in_listed_places_only() -> None:
    loaded: dict[str, set[str]] = {}
    for folder in ("kern", "client", "activities", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if loads_by_name(source):
                loaded[path.relative_to(ROOT).as_posix()] = names_of_modules(source)
    assert loaded == BY_NAME


@pytest.mark.parametrize(
    "call",
    [
        'importlib.import_module("kern.client.service.runs")',
        'import_module("kern.client.service.runs")',
        '__import__("kern.client.service.runs")',
        'NAME = "kern.client.service.runs"\nimportlib.import_module(NAME)',
    ],
)
def test_a_module_that_is_loaded_by_name_is_seen(call: str) -> None:
    assert loads_by_name(call)
    assert names_of_modules(call) == {"kern.client.service.runs"}
