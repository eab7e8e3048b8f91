"""The order of a refresh: everything is measured and checked before anything is written."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from accel import baselines
from accel.compare import judge_of, read_run
from accel.core import Case, Record
from accel.errors import BaselineError, InvalidRequestError, RefusedError
from accel.methods import method_of
from accel.refresh.calibration import calibrate
from accel.refresh.diff import Change, render
from accel.refresh.proof import is_widened, prove
from accel.refresh.refusals import check_batch, check_clean, check_machine, provenance
from accel.runs import RunFolder

__all__ = ["REPEATS", "Measured", "accept", "check_options", "measured", "repeat_folders", "taken"]

REPEATS = 3
"""Of a refresh that measures: the fewest whose spread is no mere difference of two."""

_END = "end the run with its own `accel refresh ... --out` first"


@dataclass
class Measured:
    """The repeats of each case, and the errors of those that failed in any of them, by case id."""

    batches: list[list[Record]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def check_options(options: Namespace) -> None:
    """Raises InvalidRequestError for what would be wrong after hours of measuring, too."""
    if options.repeats is not None and options.repeats < 1:
        raise InvalidRequestError(f"--repeats is {options.repeats}; it must be at least 1")
    if options.reason is not None and not options.reason.strip():
        raise InvalidRequestError("--reason is empty; say why the baselines may be looser")


def repeat_folders(folder: Path, repeats: int) -> list[Path]:
    """Run folders of so many repeats: the folder itself, so that a report is of the first one, and
    `repeat-2`, `repeat-3`, ... below it."""
    return [folder, *(folder / f"repeat-{number}" for number in range(2, repeats + 1))]


def measured(folders: Sequence[Path], cases: Sequence[Case]) -> Measured:
    """What lies in the folders of the cases' repeats. A case that failed once has no batch."""
    runs = [RunFolder(path) for path in folders]
    asked = {case.id for case in cases}
    errors = {name: text for run in runs for name, text in run.failures().items() if name in asked}
    found = [[run.record(case) for run in runs] for case in cases if case.id not in errors]
    return Measured([[r for r in batch if r] for batch in found], errors)


def taken(folder: Path, model: str) -> Measured:
    """All repeats of a finished run of that model. Raises BaselineError as `read_run`.

    Raises InvalidRequestError for records of another model, RefusedError for a repeat that lacks
    a case.
    """
    names = [path.name.removeprefix("repeat-") for path in folder.glob("repeat-*")]
    folders = repeat_folders(folder, max(map(int, filter(str.isdecimal, names)), default=1))
    runs = [read_run(path) for path in folders]
    asked = max(record.run.get("repeats", 1) for run in runs for record in run.values())
    if len(folders) < asked:
        raise RefusedError(f"{folder} has {len(folders)} of {asked} repeats; {_END}")
    if others := {group for group, _ in runs[0] if group.rpartition(".")[0] != model}:
        raise InvalidRequestError(
            f"{folder} holds records of {', '.join(sorted(others))}, not of {model}; name their "
            "model"
        )
    found = Measured()
    for path in folders:
        found.failures |= RunFolder(path).failures()
    for key in dict.fromkeys(key for run in runs for key in run):
        if key[1] in found.failures:
            continue
        for path, run in zip(folders, runs, strict=True):
            if key not in run:
                raise RefusedError(f"{path} has no record of {'/'.join(key)}; {_END}")
        found.batches.append([run[key] for run in runs])
    return found


def accept(found: Measured, folder: Path, options: Namespace) -> Mapping[str, str]:
    """Check, calibrate, show and prove the batches, then write them as baselines.

    Returns the errors of the cases that get none, by case id. Raises RefusedError before anything
    is written.
    """
    changes = []
    for repeats in found.batches:
        if unfit := _unfit(repeats):
            found.failures[repeats[0].case] = f"no baseline: {unfit}"
        else:
            changes.append(_change(repeats, options.baselines))
    changes = [_with_reason(change, options.reason) for change in changes]
    for change in changes:
        print("\n".join(render(change)))
    if changes:  # before what a machine that measures may not give: git, or a reason
        _prove([change.new for change in changes if is_widened(change.new)], folder)
    _check_reasons(changes, options.reason)
    records = [_signed(provenance(change.new), options.typed) for change in changes]
    for path in baselines.write_all(records, options.baselines):
        print(f"wrote {path}")
    return found.failures


def _unfit(repeats: Sequence[Record]) -> str:
    """What makes one of the repeats no video, or has failed in it; nothing if all are sound."""
    for repeat in repeats:
        if error := repeat.samples.get("cold", {}).get("error"):
            return f"a cold start failed: {error}"
        verdict = judge_of(repeat, method_of(repeat), None)
        if verdict.status == "collapsed":
            return verdict.lines[0]
    return ""


def _change(repeats: Sequence[Record], root: Path) -> Change:
    for repeat in repeats:
        check_clean(repeat)
        check_machine(repeat, judge_of(repeat, method_of(repeat), None))
    check_batch(repeats)
    new = calibrate(repeats)
    old, unreadable = None, ""
    try:
        old = baselines.find(root, new.hardware, new.group, new.case)
    except BaselineError as error:  # nothing is compared with it, which takes a reason
        unreadable = f"the old baseline cannot be read: {error}"
    return Change(new, old, judge_of(new, method_of(new), old, "the old baseline"), unreadable)


def _with_reason(change: Change, reason: str | None) -> Change:
    """A wider limit keeps the reason that it was given once."""
    told = change.old.run.get("calibration", {}).get("reason") if change.old else None
    kept = reason if change.looser else told if is_widened(change.new) else None
    if kept is None:
        return change
    calibration = {**change.new.run["calibration"], "reason": kept}
    new = replace(change.new, run={**change.new.run, "calibration": calibration})
    return replace(change, new=new)


def _check_reasons(changes: Sequence[Change], reason: str | None) -> None:
    found = [f"{change.new.case}: {why}" for change in changes for why in change.looser]
    if found and reason is None:
        raise RefusedError(
            f"looser than before: {'; '.join(found)}; find out why, or accept it with --reason TEXT"
        )


def _prove(widened: Sequence[Record], folder: Path) -> None:
    if not widened:
        print("planted defects: not run, for no limit is wider than those of `accel prove`")
        return
    with Console().status("planting defects") as status:
        prove(widened, folder / "prove", lambda text: status.update(escape(text)))
    print(f"planted defects: all are caught under the limits of {len(widened)} case(s)")


def _signed(record: Record, typed: str) -> Record:
    """With what accepted it and when, and without the machine's folder of the weights."""
    path = record.run.get("path")
    accepted = {"command": typed, "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    name = None if path is None else Path(path).name
    return replace(record, run={**record.run, "accepted": accepted, "path": name})
