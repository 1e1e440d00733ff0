"""Builds what is published, and looks into it."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from kern import DISTRIBUTION

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("workflows", "activities", "client")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")

# Alembic runs its environment and versions itself, and a `__main__` is a program.
IMPORT_ALL = """
import importlib, json, os, pkgutil, sys
import kern

root = os.getcwd() + os.sep
for found in pkgutil.walk_packages(kern.__path__, "kern."):
    if ".migrations" not in found.name and not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
files = [
    (os.path.realpath(module.__file__), name)
    for name, module in list(sys.modules.items())
    if getattr(module, "__file__", None)
]
print(json.dumps([[path, name] for path, name in files if path.startswith(root)]))
"""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_sources(target: Path) -> None:
    """Copy what a release is made from: building writes into its folder."""
    for folder in ("kern", *LINKED):
        shutil.copytree(ROOT / folder, target / folder, symlinks=True, ignore=LEFT_OUT)
    for pattern in ("pyproject.toml", "README.md", "LICENSE*", "MANIFEST.in"):
        for path in ROOT.glob(pattern):
            shutil.copy2(path, target)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = tmp_path_factory.mktemp("sources")
    copy_sources(sources)
    # Without isolation nothing is downloaded: setuptools is one of the development packages. The
    # wheel is built from the sdist, so that what the sdist lacks is missed in both.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", cwd=sources)
    return sources / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers()}


def package_files() -> set[str]:
    """Return every file of the package under the name that it is imported by."""
    found: set[str] = set()
    for folder, _, names in os.walk(ROOT / "kern", followlinks=True):
        place = Path(folder).relative_to(ROOT)
        if "__pycache__" not in place.parts:
            found |= {(place / name).as_posix() for name in names if not name.endswith(".pyc")}
    return found


def test_the_wheel_puts_nothing_beside_kern(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kern"}


def test_it_is_published_under_a_name_of_its_own(built: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    (wheel,) = built.glob("*.whl")
    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-{project['version']}-")


def test_the_wheel_lacks_no_file_of_the_package(wheel: set[str]) -> None:
    assert package_files() - wheel == set()


def test_the_wheel_holds_the_linked_folders_and_the_marker_for_type_checkers(
    wheel: set[str],
) -> None:
    expected = {f"kern/{folder}/__init__.py" for folder in LINKED} | {"kern/py.typed"}
    assert expected - wheel == set()


def test_the_sdist_lacks_no_file_of_the_package(sdist: set[str]) -> None:
    assert package_files() - sdist == set()


def test_no_module_is_loaded_under_two_names() -> None:
    loaded: list[tuple[str, str]] = json.loads(run(sys.executable, "-c", IMPORT_ALL, cwd=ROOT))
    names: dict[str, list[str]] = {}
    for path, name in loaded:
        names.setdefault(path, []).append(name)
    assert len(names) > 1
    assert {path: found for path, found in names.items() if len(found) > 1} == {}
