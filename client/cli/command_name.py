"""How this command line can be called again, as a person would type it here."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_NAME = "kern"


def command_name() -> str:
    """Return `kern` where the shell finds this very program by it, else the way to its script.

    The script of an environment that is not active is named by its path, relative to the current
    folder if it lies below it: `.venv/bin/kern`.
    """
    script = _script()
    if script is None:
        return f"{shlex.quote(sys.executable)} -m kern.client.cli.main"
    on_path = shutil.which(_NAME)
    if on_path is not None and Path(on_path).resolve() == script.resolve():
        return _NAME
    return shlex.quote(_shortest(script))


def _script() -> Path | None:
    """Return the script that runs, or the one beside the interpreter."""
    for path in (Path(sys.argv[0]).absolute(), Path(sys.executable).with_name(_NAME)):
        if path.name == _NAME and os.access(path, os.X_OK):
            return path
    return None


def _shortest(script: Path) -> str:
    here = Path.cwd()
    if not script.is_relative_to(here):
        return str(script)
    below = str(script.relative_to(here))
    # A shell looks a name without a slash up on the PATH.
    return below if "/" in below else f"./{below}"
