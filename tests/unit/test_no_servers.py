"""The fast ring stays fast: what starts a server is refused here."""

import subprocess
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from kern.client.server.embedded import EmbeddedServer

refused = pytest.raises(pytest.fail.Exception, match="starts a server")


def test_the_embedded_server_is_not_started(tmp_path: Path) -> None:
    with refused:
        EmbeddedServer.join(tmp_path)


async def test_the_server_that_skips_time_is_not_started() -> None:
    with refused:
        await WorkflowEnvironment.start_time_skipping()


@pytest.mark.parametrize(
    "command",
    [["/opt/bin/initdb", "-D", "data"], ["sh", "-c", "exec $0", "postgres"], ["temporal"]],
)
def test_no_process_is_a_server(command: list[str]) -> None:
    with refused:
        subprocess.run(command, check=False)
