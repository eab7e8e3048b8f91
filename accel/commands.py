"""What the commands do; each returns its exit code. torch is imported by those that need it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from accel import advise as advising
from accel import baselines, metrics, orphans
from accel import compare as comparing
from accel.arguments import refuse
from accel.base_head import BaseHead
from accel.cases import REQUEST_OPTIONS, case_of, cases_of
from accel.core import Case, Record
from accel.errors import InvalidRequestError
from accel.installation import installation
from accel.launch import Options
from accel.methods import METHODS, method_of
from accel.models import MODELS, WEIGHTS
from accel.models.images import image_array, inputs, photo_names
from accel.resumed import check_hardware, check_weights, hardware_here
from accel.runner import Bench
from accel.runs import RunFolder, default_folder
from accel.standard import FILES

__all__ = ["advise", "bench", "compare", "doctor", "fetch", "list", "refresh", "report"]

console = Console()

MEASURING = (
    "weights", "path", "methods", "size", "vram_cap", "out", "device", "pairs", "blocks", "clip",
    "timeout", "repeats", "cold", "fresh", "student", "tiny_decoder",
)  # fmt: skip
"""Options of a measurement, beside those of its request."""


def list(options: Namespace) -> int:
    """`accel list`: everything that has a name."""
    found = {
        "models": {name: model.summary for name, model in MODELS.items()},
        "weights": dict.fromkeys(WEIGHTS, ""),
        "methods": {name: summary for name, (_, summary) in METHODS.items()},
        "metrics": {name: metric.unit for name, metric in metrics.METRICS.items()},
        "photographs": dict.fromkeys(photo_names(), ""),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for kind, names in found.items():
        print(f"{kind}:")
        for name, summary in names.items():
            print(f"  {name:20} {summary}".rstrip())
    return 0


def bench(options: Namespace) -> int:
    """`accel bench`: measure, then table, contact sheet and videos; 1 if a case failed."""
    cases = cases_of(options)
    for case in cases:
        _check_baselines(case, options.baselines)
    folder = RunFolder(options.out or default_folder(cases[0].group))
    records = _measure(cases, folder, options)
    failures = _failures(folder, cases)
    if records:
        _present(folder, cases, options.baselines, failures)
    else:
        _tell(failures)
    return 1 if failures else 0


def refresh(options: Namespace) -> int:
    """`accel refresh`: repeats of each case become its baseline, collapsed ones excepted; 1 if a
    case failed."""
    from accel.refresh import command as refreshing
    from accel.refresh.refusals import check_tree

    refreshing.check_options(options)
    if options.source:
        _check_nothing_asked(options, "--from takes records as they are")
        folder, found = options.source, refreshing.taken(options.source, options.model)
    else:
        cases = cases_of(options)
        check_tree()
        folder = options.out or default_folder(cases[0].group)
        options.repeats = options.repeats or refreshing.REPEATS
        folders = refreshing.repeat_folders(folder, options.repeats)
        for path in folders:
            _measure(cases, RunFolder(path), options)
        found = refreshing.measured(folders, cases)
    failures = refreshing.accept(found, folder, options)
    _tell(failures)
    return 1 if failures else 0


def compare(options: Namespace) -> int:
    """`accel compare`: verdicts of a run against the baselines, or against another run.

    With --base and --head, of one accel against another, which take turns. A case that failed has
    no record and no verdict: it is named, and the exit code is 1.
    """
    if options.base or options.head:
        return _compare_installations(options)
    _check_nothing_asked(options, "without --base and --head nothing is measured")
    if options.other:
        refuse(options, ["baselines"], "two runs are compared with each other")
        verdicts, strays = comparing.compare_runs(options.run, options.other), []
    else:
        root = options.baselines or Path("baselines")
        verdicts = comparing.compare_to_baselines(options.run, root)
        strays = orphans.lines(orphans.orphans(root), "orphan")
    print("\n".join([comparing.render(verdicts, options.verbose), *strays]))
    failures = RunFolder(options.other or options.run).failures()
    _tell(failures)
    return 1 if failures else comparing.exit_code(verdicts, options.allow_inconclusive)


def _compare_installations(options: Namespace) -> int:
    """Both accels measure the model's cases in turns; the head's are judged against the base's."""
    if not (options.base and options.head) or options.other:
        raise InvalidRequestError(
            "--base and --head go together, with one MODEL: accel compare svd --base main --head ."
        )
    refuse(options, ["baselines"], "the head is compared with the base")
    options.model = str(options.run)
    for name in {*FILES.values()}:  # workers move
        if given := getattr(options, name):
            setattr(options, name, str(Path(given).absolute()))
    cases = cases_of(options)
    out = (options.out or default_folder(f"{cases[0].group}-compare")).absolute()
    base, head = (installation(text, out / "checkouts") for text in (options.base, options.head))
    settings = _settings(options)
    print(f"run folder: {out}")
    with console.status("starting") as status:
        found = BaseHead(base, head, out, settings, lambda text: status.update(escape(text)))
        found.run(cases)
    if found.verdicts:
        print(comparing.render(found.verdicts, options.verbose))
    _tell(found.failures)
    if found.failures:
        return 1
    return comparing.exit_code(found.verdicts, options.allow_inconclusive)


def advise(options: Namespace) -> int:
    """`accel advise`: what to use for a goal; 1 if nothing is allowed."""
    found = advising.judged(options.folder, options.baselines, options.request)
    seen = advising.judged(options.quality, options.baselines) if options.quality else ()
    bounds = advising.Bounds(options.max_vram, dict(options.min_quality))
    advice = advising.advise(found, options.goal, bounds, seen)
    print(advising.render(advice))
    return 0 if advice.choice else 1


def report(options: Namespace) -> int:
    """`accel report`: table, contact sheet and videos of a run folder anew, or --trend."""
    asked = options.trend is not None
    if asked == bool(options.run) or (options.markdown and not asked):
        raise InvalidRequestError(
            "give a run folder, or --trend for the baselines' history, which --markdown goes with"
        )
    if asked:
        from accel.report.trend import print_trend

        return print_trend(options, console)
    records = _read_run(options.run)
    cases = [case_of(record) for record in records]
    folder = RunFolder(options.run)
    _present(folder, cases, options.baselines, folder.failures())
    return 0


def fetch(options: Namespace) -> int:
    """`accel fetch`: third-party files into the cache folder."""
    from accel.fetch import fetch_all

    fetch_all(print, options.names)
    return 0


def doctor(options: Namespace) -> int:
    """`accel doctor`: what works here; 1 if something that every command needs is missing."""
    from accel.doctor import examine

    return examine(options.pretrained, console)


def _check_nothing_asked(options: Namespace, why: str) -> None:
    """Where nothing is measured, what is asked of a measurement would be ignored."""
    refuse(options, (*MEASURING, *REQUEST_OPTIONS), why)


def _settings(options: Namespace) -> Options:
    given = ("pairs", "blocks", "device", "clip", "timeout", "cold", "fresh")
    return Options(**{name: getattr(options, name) for name in given})


def _measure(cases: Sequence[Case], folder: RunFolder, options: Namespace) -> Sequence[Record]:
    """Measure the cases behind a progress bar; returns the records in the order of the cases."""
    settings = _settings(options)
    _check_resumed(folder, cases, options.device)
    steps = Bench.steps(cases, folder, settings)
    if steps and cases[0].judged:
        metrics.fingerprint(options.clip)  # loads the networks: missing ones stop here
    print(f"run folder: {folder.path}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("starting", total=steps)

        def progress(text: str) -> None:
            bar.update(task, advance=1, description=text.partition("\n")[0])

        with Bench(folder, settings, progress) as bench:
            bench.identity |= {"command": options.typed, "repeats": vars(options).get("repeats", 1)}
            records = bench.run(cases)
    if _failures(folder, cases):
        again = f"the same command with --out {folder.path} measures again what failed"
        print(f"accel: {again}", file=sys.stderr)
    return records


def _check_resumed(folder: RunFolder, cases: Sequence[Case], device: str | None) -> None:
    """A folder holds one model and weights (its videos go by case id), on one kind of hardware."""
    found = {path.name for path in (folder.path / "records").iterdir()} - {cases[0].group}
    if found:
        raise InvalidRequestError(
            f"{folder.path} holds records of {', '.join(sorted(found))}; choose another --out for "
            f"{cases[0].group}"
        )
    check_hardware(folder, folder.all_records(), hardware_here(device))
    for case in cases:
        if record := folder.record(case):
            check_weights(folder, case, record)


def _check_baselines(case: Case, root: Path) -> None:
    """Read the case's baseline of every hardware: a broken one stops the run before it starts."""
    for path in root.glob(f"*/{case.group}/{case.id}.json"):
        baselines.read(path)


def _failures(folder: RunFolder, cases: Sequence[Case]) -> dict[str, str]:
    """The errors of these cases, by case id."""
    failures = folder.failures()
    return {case.id: failures[case.id] for case in cases if case.id in failures}


def _tell(failures: Mapping[str, str]) -> None:
    for case, error in failures.items():
        print(f"accel: {case} failed: {error}", file=sys.stderr)


def _present(
    folder: RunFolder, cases: Sequence[Case], root: Path, failures: dict[str, str]
) -> None:
    """Write and show what a run leaves."""
    from accel.report.bundle import write_report
    from accel.report.tables import show, table

    records = folder.records(cases)
    verdicts = {v.record.case: v.status for v in comparing.judge_all(records, root)}
    measured = [case for case in cases if case.judged and folder.record(case)]
    frames = {case.id: path for case in measured if (path := folder.kept_frames(case))}
    request = inputs(cases[0].request)[0]
    image = image_array(request.image, request.width, request.height)
    for path in write_report(folder.path, records, frames, image, verdicts, failures):
        print(f"wrote {path}")
    show(table(records, verdicts, failures), console)


def _read_run(folder: Path) -> Sequence[Record]:
    """All records of a run folder: the reference, the methods in their order, slower ones first,
    and chains."""
    return sorted(comparing.read_run(folder).values(), key=_place)


def _place(record: Record) -> tuple[bool, int, float]:
    names, method = [*METHODS], method_of(record)
    place = names.index(method.name) if method.name in METHODS else len(names)
    return not record.is_reference, place, -float(record.metrics["seconds"])
