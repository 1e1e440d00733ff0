"""A thousand invoices, ten at once, each paid once, whatever becomes of the process.

Run it with `python examples/invoices.py`, kill it half-way (`kill -9`), and run it again: the same
run goes on where it was. `--fresh` begins another month. What was paid stands in `paid.txt`.
"""

import os
import sys
import time
from pathlib import Path

from kern.workflow import Parallel, Step, StepInput, Workflow

COUNT = int(os.environ.get("INVOICES", "1000"))
LEDGER = Path(os.environ.get("INVOICES_LEDGER", "paid.txt"))


def invoices() -> list[int]:
    return list(range(1, COUNT + 1))


def pay(told: StepInput) -> int:
    # A bank that knows the key takes the same payment once, however often it is sent.
    line = f"{told.item} {told.idempotency_key}\n"
    with LEDGER.open("a") as ledger:
        ledger.write(line)
    time.sleep(0.001)
    return int(str(told.item))


def close(told: StepInput) -> str:
    paid = told.previous_content if isinstance(told.previous_content, list) else []
    return f"Paid {len(paid)} invoices, {sum(int(str(one)) for one in paid)} EUR."


month = Workflow(
    id="invoices",
    steps=[
        Parallel(
            Step("pay", pay, effect="idempotent", retries=3),
            for_each=invoices,
            max_concurrency=10,
            name="payments",
        ),
        close,
    ],
)


if __name__ == "__main__":
    number = f"month-{os.getpid()}" if "--fresh" in sys.argv else "month-1"
    # The same run id is the same run, in this process and in every later one.
    response = month.run("October", run_id=number)
    print(response.content)
