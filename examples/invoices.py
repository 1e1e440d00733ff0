"""A thousand invoices: each is posted to a ledger and mailed, exactly once, whatever is killed.

    python examples/invoices.py 2026-11

Kill it half-way with the command that it prints, and start it again: it continues where it was. The
ledger and the outbox are two tables of `invoices.db`; they stand for other systems.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from pydantic import BaseModel

from kern.requirements import Requirement
from kern.workflow import Parallel, Step, StepInput, Workflow

COUNT = int(os.environ.get("INVOICES", "1000"))
AT_ONCE = 8


class Invoice(BaseModel):
    """One invoice of the month."""

    number: str
    cents: int


@contextmanager
def ledger() -> Generator[sqlite3.Connection]:
    """Open the ledger for one transaction."""
    connection = sqlite3.connect("invoices.db", timeout=60)
    try:
        with connection:
            connection.execute("create table if not exists posted (key unique, invoice, cents)")
            connection.execute("create table if not exists mailed (invoice)")
            yield connection
    finally:
        connection.close()


def invoices(step_input: StepInput) -> list[Invoice]:
    """Return the invoices of the month that is the run's input."""
    numbers = range(1, COUNT + 1)
    return [Invoice(number=f"{step_input.input}/{n:04}", cents=1000 + n) for n in numbers]


def post(step_input: StepInput) -> str:
    """Post an invoice. The ledger recognises the key, so this may be repeated."""
    invoice = Invoice.model_validate(step_input.item)
    with ledger() as books:
        row = (step_input.idempotency_key, invoice.number, invoice.cents)
        books.execute("insert or ignore into posted values (?, ?, ?)", row)
    return invoice.number


def mail(step_input: StepInput) -> str:
    """Mail an invoice. A second letter would arrive too, so this must not be repeated."""
    with ledger() as books:
        books.execute("insert into mailed values (?)", (step_input.previous_content,))
    return "mailed"


def close() -> str:
    """Add up what was posted."""
    with ledger() as books:
        count, cents = books.execute("select count(*), sum(cents) from posted").fetchone()
    return f"{count} invoices posted and mailed, {cents / 100:.2f} EUR."


month_end = Workflow(
    name="month-end",
    steps=[
        Parallel(
            Step("post", post, effect="idempotent", retries=3),
            Step("mail", mail),
            name="invoices",
            for_each=invoices,
            max_concurrency=AT_ONCE,
        ),
        Step("close", close, effect="read"),
    ],
)


def decide(requirement: Requirement) -> None:
    """Decide about a letter that was being mailed when the process was killed."""
    number = requirement.arguments["input"]
    with ledger() as books:
        row = books.execute("select 1 from mailed where invoice = ?", (number,)).fetchone()
    print(f"Was {number} mailed? The outbox says {'yes' if row else 'no'}.")
    if row:
        requirement.mark_happened("mailed", by="dana")
    else:
        requirement.run_again(by="dana")


def mailed() -> int:
    """Return how many letters are in the outbox."""
    with ledger() as books:
        return int(books.execute("select count(*) from mailed").fetchone()[0])


def main(month: str) -> None:
    """Start the month's run, or continue it, and show its progress."""
    print(f"To see that nothing is lost or done twice: kill -9 {os.getpid()}, and start again.")
    run = month_end.run(month, run_id=f"month-end-{month}", background=True)
    while not run.status.is_final:
        print(f"{mailed()} of {COUNT} invoices", flush=True)
        for requirement in run.active_requirements:
            decide(requirement)
        if run.active_requirements:
            run = month_end.continue_run(run.run_id, run.requirements)
        time.sleep(1)
        run = month_end.get_run_output(run.run_id)
    print(run.content or run.error)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "2026-11")
