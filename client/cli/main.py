"""The command `kern`: its entry, and the one place where errors become lines and exit codes."""

import errno
import json
import logging
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from kern.client.cli import (
    commands_decide,
    commands_outside,
    commands_run,
    commands_sessions,
    commands_system,
    commands_triage,
)
from kern.client.cli.printing import one_line, say
from kern.errors import KernError, Unavailable

_EXIT_CODES = """
Exit codes: 0 done; 1 an error in Kern itself; 2 a value or option is refused, nothing was changed;
3 no such run, session, requirement or database; 4 not allowed; 5 in another state, such as decided
already; 6 a dependency does not answer; 7 the run ended with an error; 8 the log of decisions does
not verify; 9 the run was cancelled; 10 the run waits for a person; 130 interrupted, and the run
goes on.
"""
_INTERRUPTED, _PIPE_CLOSED = 130, 141
# Typer detects the shell by itself, and lets the options of completion name one where this is set.
_COMPLETION = ("--show-completion", "--install-completion")
TAKES_A_SHELL = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

app = typer.Typer(
    name="kern",
    help="Durable runs of agents that wait for people. They are kept in .kern/, or where KERN_HOME "
    "and KERN_DATABASE_URL say; TEMPORAL_ADDRESS names a Temporal cluster.",
    epilog=" ".join(_EXIT_CODES.split()),
    pretty_exceptions_enable=False,
    # Rich's help takes longer to load than many commands to run.
    rich_markup_mode=None,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_set: bool) -> None:
    if is_set:
        from kern import __version__

        say(f"kern {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options before any command."""


commands_run.add_to(app)
commands_sessions.add_to(app)
commands_decide.add_to(app)
commands_triage.add_to(app)
commands_system.add_to(app)
commands_outside.add_to(app)


def main() -> None:
    """Run the command line and end the process.

    The interpreter's own way out is not taken: objects of the Temporal SDK abort it now and then.
    """
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_characters(stream)
    # What a command has to say it says itself; workers set up logging of their own.
    logging.getLogger("kern").setLevel(logging.ERROR)
    # A run is let go, and a server left, in the same way as by Ctrl-C; workers stop in their own.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = execute(sys.argv[1:])
    except Exception:  # noqa: BLE001  the edge of the process, which must end with its own code
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or _PIPE_CLOSED
        except OSError as error:
            code = code or _no_space(error, as_json="--json" in sys.argv)
    os._exit(code)


def execute(arguments: list[str]) -> int:
    """Execute one command line and return its exit code; an error becomes one line."""
    as_json = "--json" in arguments
    try:
        # What is no text, as file names may be, would be refused by the database.
        words = [word.encode("utf-8", "replace").decode() for word in arguments or ["--help"]]
        if _names_a_shell(words):
            os.environ[TAKES_A_SHELL] = "1"
        result = typer.main.get_command(app).main(words, prog_name="kern", standalone_mode=False)
    except typer.TyperException as error:
        return _usage_error(error, as_json=as_json)
    except KernError as error:
        return _report(error.code, str(error), error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        return _ended(error)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        return _no_space(error, as_json=as_json)
    return result if isinstance(result, int) else 0


def _names_a_shell(words: list[str]) -> bool:
    """Whether an option of completion is followed by a shell, as in `--show-completion zsh`."""
    return any(
        word.startswith(tuple(f"{option}=" for option in _COMPLETION))
        or (word in _COMPLETION and not following.startswith("-"))
        for word, following in zip(words, [*words[1:], "-"], strict=True)
    )


def _ended(error: BrokenPipeError | SystemExit) -> int:
    if isinstance(error, SystemExit) and not error.code:
        # The shell asked for completions.
        return 0
    # Whoever read the output has gone, for which Typer exits; the last flush must not fail too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _PIPE_CLOSED


def _no_space(error: OSError, *, as_json: bool) -> int:
    message = f"What the command says could not be written in full: {error.strerror}."
    return _report("unavailable", message, Unavailable.exit_code, as_json=as_json)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _usage_error(error: typer.TyperException, *, as_json: bool) -> int:
    text = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "kern"
    return _report("usage", f"{text} See '{command} --help'.", 2, as_json=as_json)


def _report(code: str, message: str, exit_code: int, *, as_json: bool) -> int:
    if as_json:
        text = json.dumps({"error": {"code": code, "message": message}})
    else:
        text = f"kern: {one_line(message)}"
    sys.stderr.write(f"{text}\n")
    return exit_code


def _never_fail_on_characters(stream: object) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
