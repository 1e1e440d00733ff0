"""How the command line names itself to the person who is to type it again."""

import sys
from pathlib import Path

import pytest

from kern.client.cli.command_name import command_name


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in an environment that is not active, of a person who stands above it."""
    path = tmp_path / ".venv" / "bin" / "kern"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "demo"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return path


def test_a_script_that_is_not_on_the_path_is_named_by_its_place(script: Path) -> None:
    assert command_name() == ".venv/bin/kern"


def test_one_elsewhere_is_named_whole_and_quoted(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some where"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert command_name() == str(script)
    moved = folder / "kern"
    script.rename(moved)
    monkeypatch.setattr(sys, "argv", [str(moved)])
    monkeypatch.chdir(tmp_path / ".venv")
    assert command_name() == f"'{moved}'"
    monkeypatch.chdir(folder)
    assert command_name() == "./kern"


def test_one_on_the_path_is_named_by_its_name(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    assert command_name() == "kern"


def test_another_program_of_that_name_is_not_taken_for_it(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "bin" / "kern"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert command_name() == ".venv/bin/kern"


def test_without_a_script_the_module_is_named(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "main.py")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert command_name() == f"{tmp_path / 'python'} -m kern.client.cli.main"
