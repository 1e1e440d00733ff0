"""Whatever happens in a session, in whatever order, each database agrees with the plain model."""

from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from kern.db.journal import verification
from tests.support.session_machine import Interleavings
from tests.support.stored_runs import NAMES, opened

# Making a failing life shorter takes minutes; `make proof` does it with those that failed before.
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)


def live(
    name: str, folder: Path, *, examples: int, steps: int, phases: Collection[Phase] = tuple(Phase)
) -> None:
    """Live through that many random lives in one database, and verify its chain at the end."""
    with opened(name, folder) as database:

        class Lives(Interleavings):
            stored = database

        given = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=phases,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        run_state_machine_as_test(Lives, settings=given)
        database.look(verification.verify)


@pytest.mark.parametrize(("name", "examples"), [("memory", 12), ("postgres", 5)])
def test_random_lives_of_a_session_agree_with_the_model(
    name: str, examples: int, tmp_path: Path
) -> None:
    live(name, tmp_path, examples=examples, steps=30, phases=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["memory", *NAMES])
def test_many_long_lives_of_a_session_agree_with_the_model(name: str, tmp_path: Path) -> None:
    live(name, tmp_path, examples=400 if name == "memory" else 80, steps=60)
