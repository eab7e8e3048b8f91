"""Whole folders of records against the baselines or another run, and what is printed of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from accel.baselines import find, read
from accel.core import Method, Record
from accel.errors import BaselineError
from accel.gate import judge
from accel.limits import shown
from accel.methods import method_of
from accel.reading import precision
from accel.summary import of_inputs
from accel.verdict import SEVERITY, Check, Verdict, exit_code

__all__ = [
    "SUMMARY",
    "compare_runs",
    "compare_to_baselines",
    "exit_code",
    "judge_all",
    "judge_of",
    "read_run",
    "render",
]

MethodOf = Callable[[Record], Method]
Key = tuple[str, str]
_AGAIN = "delete it and run its case again"

SUMMARY = (
    "speedup", "s_per_frame", "memory.peak.allocated_mib", "memory.peak.rss_mib",
    "clip", "tssim", "tlpips", "lpips", "motion_class",
)  # fmt: skip
"""The few numbers of a case's line, as far as the record has them."""


def read_run(folder: Path) -> dict[Key, Record]:
    """The records in `folder`/records, by group and case id.

    Raises BaselineError if there is none, if two are of one case, or one cannot be read.
    """
    records: dict[Key, Record] = {}
    for path in sorted((folder / "records").rglob("*.json")):
        record = read(path, _AGAIN)
        key = record.group, record.case
        if key in records:
            raise BaselineError(f"{path}: {'/'.join(key)} is there twice; remove one of the two")
        records[key] = record
    if not records:
        raise BaselineError(
            f"no records in {folder / 'records'}; give the folder of a finished `accel bench`"
        )
    return records


def compare_to_baselines(
    folder: Path, root: Path, method_of: MethodOf = method_of
) -> list[Verdict]:
    """The verdict on each record of a run folder against its baseline under `root`.

    method_of: makes a record's method again, for its claims. Raises BaselineError as `read_run`
    does, or for a broken baseline.
    """
    return judge_all(read_run(folder).values(), root, method_of)


def judge_all(
    records: Iterable[Record], root: Path, method_of: MethodOf = method_of
) -> list[Verdict]:
    """The verdict on each record against its baseline under `root`."""
    return [judge_of(r, method_of(r), find(root, r.hardware, r.group, r.case)) for r in records]


def judge_of(
    record: Record, method: Method, baseline: Record | None, against: str = "the baseline"
) -> Verdict:
    """The verdict on a record by its method's word. against: what messages call `baseline`."""
    weights: Any = record.group.rpartition(".")[2]
    return judge(
        record,
        baseline,
        method.claims(record.asked),
        against=against,
        must_fail=method.must_fail(),
        may_fail=method.may_fail(weights),
    )


def compare_runs(old: Path, new: Path, method_of: MethodOf = method_of) -> list[Verdict]:
    """The verdict on each record of the run folder `new` against its equal in `old`.

    A case that only one of the two has is "missing". Errors as `read_run`.
    """
    before, now = read_run(old), read_run(new)

    def verdict(key: Key) -> Verdict:
        if not (key in now and key in before):
            return _only(now.get(key) or before[key], old if key in now else new)
        return judge_of(now[key], method_of(now[key]), before[key], "the old run")

    return [verdict(key) for key in sorted({*before, *now})]


def render(verdicts: Sequence[Verdict], verbose: bool = False) -> str:
    """A line for each case, under it its checks that did not pass (verbose: all), then a sum."""
    width = max((len(verdict.case) for verdict in verdicts), default=0)
    lines = [line for verdict in verdicts for line in _case_lines(verdict, width, verbose)]
    counts = Counter(verdict.status for verdict in verdicts)
    parts = [f"{counts[status]} {status}" for status in SEVERITY if counts[status]]
    cases = f"{len(verdicts)} case{'s' * (len(verdicts) != 1)}"
    return "\n".join([*lines, f"{cases}: {', '.join(parts) or 'none judged'}"])


def _only(record: Record, other: Path) -> Verdict:
    return Verdict(record, (Check("collapse", "record", "missing", f"no such case in {other}"),))


def _case_lines(verdict: Verdict, width: int, verbose: bool) -> Iterator[str]:
    numbers = "  ".join(_numbers(verdict.record))
    yield f"{verdict.status:<12}  {verdict.case:<{width}}  {numbers}".rstrip()
    yield from _check_lines([c for c in verdict.checks if verbose or c.status != "pass"])


def _numbers(record: Record) -> Iterator[str]:
    for metric in SUMMARY:
        value = record.metrics.get(metric)
        name = metric.removeprefix("memory.").replace(".", " ")
        if value is not None:
            text = value if isinstance(value, str) else shown(metric, value)
            spread = of_inputs(record.metrics, metric, partial(shown, metric))
            yield f"{name} {text}{precision(record.metrics, metric, short=True)} {spread}".rstrip()


def _check_lines(checks: Iterable[Check]) -> Iterator[str]:
    """One line for each check; equal ones of several families share a line."""
    for (status, message), same in groupby(checks, key=lambda c: (c.status, c.message)):
        families = dict.fromkeys(check.family for check in same)
        yield f"    {status:<12}  {', '.join(families)}: {message}"
