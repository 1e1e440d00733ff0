"""The API against its own document: whatever is sent, it answers as it says, and never with 5xx."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kern.contracts.viewer import OPERATOR
from kern.db.engine.store import Store
from kern.db.reading.run_outputs import run_output
from kern.models.scripted import Call
from tests.support import seeds
from tests.support.served_store import EVERYTHING, ServedStore, served
from tests.support.templates import with_tables

Case = schemathesis.Case[Any]
Operation = APIOperation[Any, Any, Any, Any]
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_EXAMPLES = 8


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    # It refuses more than SQLite does: characters, numbers.
    with closing(with_tables("postgres", tmp_path_factory.mktemp("api"))) as found:
        yield found


@pytest.fixture(scope="module")
def api(db: Store) -> Iterator[ServedStore]:
    with served(db) as found:
        yield found


def known_ids(db: Store, api: ServedStore) -> dict[str, str]:
    """Return ids of what is there: a requirement with a decision, a run, a session, a token."""
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    torn = seeds.torn(db, ["nothing found"])
    output = db.read_now(lambda tx: run_output(tx, wire.run_id, OPERATOR))
    (item,) = output.requirements
    token = api.token("dana")
    answer = httpx2.post(
        f"{api.address}/v1/requirements/{item.id}/decisions",
        json={"verdict": "approve", "digest": item.digest},
        headers={"Authorization": f"Bearer {token.secret}"},
    )
    return {
        "requirement_id": item.id,
        "decision_id": answer.json()["decision"]["id"],
        "run_id": torn.run_id,
        "session_id": output.session_id,
        "token_id": token.token.id,
    }


def name_known(case: Case, ids: dict[str, str]) -> None:
    """Have a case be about what is there; what the later ones are about is not deleted."""
    if case.method != "DELETE":
        known = {name: ids[name] for name in case.path_parameters if name in ids}
        case.path_parameters.update(known)
    if case.path == "/v1/audit/export":
        case.query["run"] = ids["run_id"]
    for cursor in ("after", "before"):
        if not str(case.query.get(cursor, "0")).isdigit():
            del case.query[cursor]


def exercise(
    operation: Operation, mode: GenerationMode, headers: dict[str, str], ids: dict[str, str]
) -> set[int]:
    """Send what is generated for an operation, and return the statuses of the answers."""
    statuses: set[int] = set()

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Case) -> None:
        for is_known in (False, True):
            if is_known:
                name_known(case, ids)
            response = case.call(headers=headers)
            statuses.add(response.status_code)
            case.validate_response(response, checks=_CHECKS)

    call()
    return statuses


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_says(
    api: ServedStore, db: Store, mode: GenerationMode
) -> None:
    ids = known_ids(db, api)
    headers = {"Authorization": f"Bearer {api.token('dana', EVERYTHING).secret}"}
    schema = schemathesis.openapi.from_url(f"{api.address}/v1/openapi.json")
    operations = [item.ok() for item in schema.get_all_operations() if isinstance(item, Ok)]
    assert len(operations) == schema.statistic.operations.total
    for operation in operations:
        statuses = exercise(operation, mode, headers, ids)
        if mode is GenerationMode.POSITIVE and operation.method == "get":
            # What is valid is answered, not refused: otherwise no answer was compared.
            assert 200 in statuses, operation.label
