"""`accel prove`: plants every defect, and shows who caught it; 0 only if its own check did."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accel.cases import check_place, request_of
from accel.core import Case
from accel.errors import InvalidRequestError
from accel.methods.reference import Reference
from accel.plugin import gpu_count
from accel.prove import DEFECTS, OF_STARTS, timing
from accel.prove.defect import Defect
from accel.prove.measure import measure, options_on
from accel.prove.proof import Evidence, Row, alarms, exact_interval, exit_code, healthy, rows
from accel.runner import Bench
from accel.runs import RunFolder, default_folder

__all__ = ["prove", "show"]

COLOURS = {"yes": "green", "no": "red"}


def prove(options: Namespace) -> int:
    """Measure the healthy cases and the defects, judge both, print the table; or --timing."""
    for name, least in (("repeats", 1), ("blocks", 0)):
        if getattr(options, name) < least:
            given = getattr(options, name)
            raise InvalidRequestError(f"--{name} is {given}; it must be at least {least}")
    console = Console()
    if options.timing:
        return timing.prove(options, console)
    options.weights = options.weights or "mini"
    check_place(options)
    case = Case(options.model, options.weights, request_of(options), Reference(), options.path)
    folder = RunFolder(options.out or default_folder(f"{case.group}-prove"))
    print(f"run folder: {folder.path}")
    settings = options_on(options.device, gpu_count(), options.blocks, cold=options.cold)
    defects = (*DEFECTS, *OF_STARTS) if options.cold else DEFECTS
    with console.status("starting") as status:

        def progress(text: str) -> None:
            status.update(escape(text.partition("\n")[0]))

        with Bench(folder, settings, progress) as bench:
            evidence = measure(bench, case, options.repeats, defects)
    return show(evidence, console, defects)


def show(evidence: Evidence, console: Console, defects: Sequence[Defect] = DEFECTS) -> int:
    """Print who caught what, and the false alarms; the exit code."""
    found = [row for defect in defects for row in rows(defect, evidence)]
    table = Table("defect", "its own check", "caught")
    table.add_column("margin", justify="right")
    for row in found:
        colour = COLOURS.get(row.caught, "yellow")
        margin = "" if row.beyond is None else f"{row.beyond:.1f}"
        table.add_row(row.defect, escape(row.check), f"[{colour}]{row.caught}[/]", margin)
    console.print(table)
    for line in _lines(evidence, found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return exit_code(evidence, found)


def _lines(evidence: Evidence, found: Sequence[Row]) -> Iterator[str]:
    for row in found:
        if row.caught == "no":
            yield f"not caught: {row.defect} by {row.check}: {row.message}"
    verdicts = list(healthy(evidence))
    for verdict in verdicts:
        yield from (f"not healthy: {verdict.case}: {line}" for line in verdict.lines)
    good = sum(verdict.status == "pass" for verdict in verdicts)
    yield f"healthy cases: {good} of {len(verdicts)} pass"
    count = {word: sum(row.caught == word for row in found) for word in ("yes", "no")}
    rest = len(found) - sum(count.values())
    yield f"checks: {count['yes']} caught, {count['no']} did not, {rest} cannot be shown here"
    false, of = alarms(evidence), len(evidence.repeats)
    for verdict in false:
        yield from (f"false alarm: {line}" for line in verdict.lines)
    low, high = (100 * end for end in exact_interval(len(false), of))
    rate = f"{low:.1f} to {high:.1f} % (95 %)"
    yield f"A/A: {len(false)} false alarms in {of} repeats; the rate is {rate}"
