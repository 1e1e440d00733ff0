"""Random pipelines whose process is killed at random points come to what an interpreter does."""

import json
import pickle
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kern.db.steps.inputs import as_text
from kern.values.ids import new_id
from tests.support import forked
from tests.support.cli import environment
from tests.support.pipeline_process import GIVEN, Ledger
from tests.support.pipeline_specs import Interpreter, Spec, pipelines

_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
_KILLS = st.lists(st.integers(1, 80), min_size=1, max_size=3)


def survives(folder: Path, spec: Spec, kills: list[int]) -> None:
    """Play a pipeline in processes that die, and hold its end against the interpreter's."""
    run_id = new_id()
    spec_path, ledger = folder / f"{run_id}.spec", folder / f"{run_id}.ledger"
    spec_path.write_bytes(pickle.dumps(spec))
    died, said = 0, ""
    for kill in [*kills, 0]:
        code, said, complaint = forked.run(
            [
                "-m",
                "tests.support.pipeline_process",
                str(spec_path),
                run_id,
                str(ledger),
                str(kill),
            ],
            cwd=folder,
            env=environment(KERN_HEARTBEAT_SECONDS="1.0", KERN_RELAY_SECONDS="0.2"),
            timeout=100,
        )
        assert code in {0, -9}, complaint
        died += code == -9
    came_to = json.loads(said.splitlines()[-1])
    expected = Interpreter().run(spec, GIVEN)
    assert came_to == {"status": "completed", "content": as_text(expected.content)}
    # Steps may do harm if nothing else is said: none was executed twice, however often it died.
    times = Counter(key for key, _ in Ledger(ledger).lines)
    assert max(times.values(), default=1) == 1


@pytest.mark.timeout(400)
@settings(max_examples=3, deadline=None, suppress_health_check=_CHECKS, database=None)
@given(spec=pipelines(people=False, failures=False, stops=False), kills=_KILLS)
def test_a_random_pipeline_survives_its_deaths(folder: Path, spec: Spec, kills: list[int]) -> None:
    survives(folder, spec, kills)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=40, deadline=None, suppress_health_check=_CHECKS, database=None)
@given(spec=pipelines(people=False, failures=False, stops=False), kills=_KILLS)
def test_many_random_pipelines_survive(folder: Path, spec: Spec, kills: list[int]) -> None:
    survives(folder, spec, kills)
