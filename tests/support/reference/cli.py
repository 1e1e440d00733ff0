"""The page of the command line: what each command's `--help` prints."""

import os
from collections.abc import Iterator

import typer
from typer._click.core import Command
from typer.core import TyperGroup

from kern.client.cli.main import TAKES_A_SHELL, app

_WIDTH = 96
_INTRODUCTION = """\
# Command line

Every command prints this with `--help`. `--json` prints one JSON document for programs; an error is
then `{"error": {"code": …, "message": …}}` on standard error. Ids can be given whole or by their
last six characters or more.
"""


def page() -> str:
    """Return the page."""
    # A command that named a shell may have been executed in this process.
    os.environ.pop(TAKES_A_SHELL, None)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return _INTRODUCTION + "".join(_sections(group, "kern"))


def _sections(group: TyperGroup, path: str) -> Iterator[str]:
    yield _section(group, path)
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _sections(command, f"{path} {name}")
        else:
            yield _section(command, f"{path} {name}")


def _section(command: Command, path: str) -> str:
    context = command.context_class(
        command,
        info_name=path,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return f"\n## `{path}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
