"""What the commands do; each returns its exit code. torch is imported by those that need it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from accel import baselines
from accel.compare import compare_runs, compare_to_baselines, exit_code, read_run, render
from accel.core import Case, Method, Record
from accel.errors import InvalidRequestError
from accel.gate import Verdict, judge
from accel.methods import METHODS, from_repr, parse
from accel.metrics import METRICS
from accel.models import MODELS, WEIGHTS, default_request
from accel.models.images import image_array, load_image, photo_names
from accel.runner import Bench, Options, reference_of
from accel.runs import RunFolder, default_folder

__all__ = ["bench", "compare", "doctor", "fetch", "list", "refresh", "report"]

STANDARD = ("reference", "int8_weight_only", "fewer_steps:15", "fewer_steps:10", "fewer_steps:4")
"""What `bench` measures on any machine; on a GPU torch_compile too."""

REQUEST_OPTIONS = (
    "image", "frames", "steps", "seed", "fps", "motion_bucket", "min_guidance", "max_guidance",
    "decode_chunk_size",
)  # fmt: skip

console = Console()


def list(options: Namespace) -> int:
    """`accel list`: everything that has a name."""
    found = {
        "models": {name: model.summary for name, model in MODELS.items()},
        "weights": dict.fromkeys(WEIGHTS, ""),
        "methods": {name: summary for name, (_, summary) in METHODS.items()},
        "metrics": {name: metric.unit for name, metric in METRICS.items()},
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
    cases = _cases(options)
    folder = RunFolder(options.out or default_folder(cases[0].group))
    _measure(cases, folder, options)
    _present(folder, cases, options.baselines)
    return 1 if folder.failures() else 0


def refresh(options: Namespace) -> int:
    """`accel refresh`: the records become the baselines of their cases."""
    if options.source:
        records = _read_run(options.source)
    else:
        cases = _cases(options)
        folder = RunFolder(options.out or default_folder(cases[0].group))
        records = _measure(cases, folder, options)
        for case, error in folder.failures().items():
            console.print(f"[red]{case}: no baseline, it failed:[/] {error}", soft_wrap=True)
    for record in records:
        print(f"wrote {baselines.write(record, options.baselines)}")
    return 0 if records and (options.source or not folder.failures()) else 1


def compare(options: Namespace) -> int:
    """`accel compare`: verdicts of a run against the baselines, or against another run."""
    if options.other:
        verdicts = compare_runs(options.run, options.other)
    else:
        verdicts = compare_to_baselines(options.run, options.baselines)
    print(render(verdicts, options.verbose))
    return exit_code(verdicts, options.allow_inconclusive)


def report(options: Namespace) -> int:
    """`accel report`: table, contact sheet and videos of a run folder anew."""
    records = _read_run(options.run)
    cases = [_case_of(record) for record in records]
    _present(RunFolder(options.run), cases, options.baselines)
    return 0


def fetch(options: Namespace) -> int:
    """`accel fetch`: third-party metric weights into the cache folder."""
    from accel.fetch import fetch_all

    fetch_all(print)
    return 0


def doctor(options: Namespace) -> int:
    """`accel doctor`: what works here; 1 if something that every command needs is missing."""
    from accel.doctor import examine

    return examine(options.pretrained, console)


def _cases(options: Namespace) -> Sequence[Case]:
    """The cases that the options ask for, the reference first."""
    given = vars(options)
    changes = {n: given[n] for n in REQUEST_OPTIONS if given[n] is not None}
    if options.size:
        changes |= _size(options.size)
    request = default_request(options.model, options.weights, **changes)
    load_image(request.image, request.width, request.height)
    methods = [parse(text) for text in options.methods or _standard(options.device)]
    cases = [Case(options.model, options.weights, request, m, options.path) for m in methods]
    reference = reference_of(cases[0]) if cases else None
    return [c for c in (reference, *cases) if c and (c is reference or not c.is_reference)]


def _standard(device: str | None) -> tuple[str, ...]:
    from accel.plugin import gpu_count

    return STANDARD if device == "cpu" or not gpu_count() else (*STANDARD, "torch_compile")


def _size(text: str) -> dict[str, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InvalidRequestError(f"--size {text!r} is not WxH in pixels, as in 1024x576")
    return {"width": int(width), "height": int(height)}


def _measure(cases: Sequence[Case], folder: RunFolder, options: Namespace) -> Sequence[Record]:
    """Measure the cases behind a progress bar; returns the records in the order of the cases."""
    settings = Options(pairs=options.pairs, device=options.device, clip=options.clip)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar, ExitStack() as stack:
        task = bar.add_task("starting", total=Bench.steps(cases, folder, settings))

        def progress(text: str) -> None:
            bar.update(task, advance=1, description=text)

        bench = stack.enter_context(Bench(folder, settings, progress))
        return bench.run(cases)


def _present(folder: RunFolder, cases: Sequence[Case], root: Path) -> None:
    """Write and show what a run leaves."""
    from accel.report.bundle import write_report
    from accel.report.tables import show, table

    records = folder.records(cases)
    if not records:
        raise InvalidRequestError(f"{folder.path} holds no record; see {folder.path}/failures.json")
    verdicts = {record.case: _verdict(record, root).status for record in records}
    frames = {c.id: folder.frames_path(c) for c in cases if c.judged and folder.record(c)}
    request = cases[0].request
    image = image_array(request.image, request.width, request.height)
    failures = folder.failures()
    for path in write_report(folder.path, records, frames, image, verdicts, failures):
        print(f"wrote {path}")
    show(table(records, verdicts, failures), console)


def _verdict(record: Record, root: Path) -> Verdict:
    baseline = baselines.find(root, record.hardware, record.group, record.case)
    return judge(record, baseline, from_repr(record.method).claims())


def _read_run(folder: Path) -> Sequence[Record]:
    """All records of a run folder, the reference first."""
    records = read_run(folder).values()
    return sorted(records, key=lambda record: record.case.partition("@")[0] != "reference")


def _case_of(record: Record) -> Case:
    from accel.core import Request

    model, _, weights = record.group.rpartition(".")
    method: Method = from_repr(record.method)
    fields: dict[str, Any] = {**record.request}
    return Case(model, weights, Request(**fields), method)  # type: ignore[arg-type]
