"""The report: a table for people, and the same figures as JSON for programs."""

import json
import math
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure of Kern, the figure it is compared with, and the aims for it."""

    name: str
    measure: str
    kern: float
    beside: float | None = None
    ratio_aim: float | None = None
    aim: float | None = None

    @property
    def ratio(self) -> float | None:
        """Kern's figure divided by the other."""
        return self.kern / self.beside if self.beside else None

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None if there is none."""
        if self.ratio_aim is not None and self.ratio is not None:
            return self.ratio <= self.ratio_aim
        return None if self.aim is None else self.kern <= self.aim


@dataclass(frozen=True)
class Report:
    """All rows, and the facts that a reader needs to judge them."""

    rows: list[Row]
    runs: int
    machine: str

    def print_table(self) -> None:
        """Print for people."""
        table = Table(title=f"{self.runs} runs of each, in turn; {self.machine}")
        for heading in ("", "measure"):
            table.add_column(heading)
        for heading in ("Kern", "beside", "ratio", "aim"):
            table.add_column(heading, justify="right")
        previous = ""
        for row in self.rows:
            if previous not in ("", row.name):
                table.add_section()
            name = "" if row.name == previous else row.name
            table.add_row(name, row.measure, *_cells(row))
            previous = row.name
        Console(width=100).print(table)

    def print_json(self) -> None:
        """Print for programs."""
        rows = [{**asdict(row), "ratio": row.ratio, "is_met": row.is_met} for row in self.rows]
        report = {"runs": self.runs, "machine": self.machine, "rows": rows}
        print(json.dumps(report, indent=2))


def _cells(row: Row) -> tuple[str, str, str, str]:
    colour = {True: "green", False: "red", None: ""}[row.is_met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    aim = ""
    if row.ratio_aim is not None:
        aim, ratio = f"≤ {row.ratio_aim:.2f}", _coloured(colour, ratio)
    elif row.aim is not None:
        aim = f"≤ {row.aim:.0f}"
    kern = _number(row.kern)
    if row.aim is not None:
        kern = _coloured(colour, kern)
    return kern, "" if row.beside is None else _number(row.beside), ratio, aim


def _coloured(colour: str, text: str) -> str:
    return f"[{colour}]{text}[/]" if colour and text else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "?"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
