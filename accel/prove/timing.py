"""`accel prove --timing`: how often the verdict on time is right, of no change and of 5 % of sleep.

The workers stay over all repeats of a pair, so that a repeat costs its generations and calls alone.
It takes nothing from the repeats before it, and its verdict is the gate's whole one. Each is told
and kept when it was measured, in <run folder>/repeats, and a resumed proof measures the others.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from accel import baselines
from accel.arguments import refuse
from accel.cases import check_place, request_of
from accel.core import Case, Method, Record
from accel.environment import run_identity
from accel.errors import InvalidRequestError
from accel.launch import Launcher, Options, inputs_of, take_turns
from accel.lock import GpuLock
from accel.methods.reference import Reference
from accel.models.images import inputs
from accel.plugin import gpu_count
from accel.prove.costs import Slower
from accel.prove.healthy import Unedited
from accel.prove.proof import exact_interval, posing
from accel.recording import record_of
from accel.runs import RunFolder, default_folder
from accel.sequential import LOOKS
from accel.side import Side
from accel.verdict import Status, Verdict

__all__ = ["RIGHT", "judged", "measure", "prove", "show", "told"]

HOST = Unedited()

RIGHT: dict[Method, tuple[str, Status]] = {
    HOST: ("A/A", "pass"),
    Slower(): ("5 % of sleep", "regressed"),
}
"""What is repeated, what it is called, and the verdict that is right."""

ASKED = {"size": "512x512", "frames": 14, "steps": 4}
"""Where the command line asks for nothing else."""

Verdicts = Mapping[Method, Sequence[Verdict]]


def prove(options: Namespace, console: Console) -> int:
    """Measure, judge and print; 0 if every verdict is right.

    Raises InvalidRequestError where time is not judged: without a GPU, and of mini weights.
    """
    options.weights = options.weights or "untrained"
    if options.device == "cpu" or not gpu_count() or options.weights == "mini":
        raise InvalidRequestError(
            "--timing: time is judged of full-size weights on a GPU alone; run it on one, with "
            "--weights untrained or pretrained"
        )
    if options.cold:
        raise InvalidRequestError("--timing compiles nothing; leave out --cold")
    check_place(options)
    refuse(options, ["seeds", "decode_chunk_size"], "--timing decodes nothing, of one input")
    asked = {name: value for name, value in ASKED.items() if getattr(options, name) is None}
    request = replace(request_of(Namespace(**{**vars(options), **asked})), latents_only=True)
    if len(inputs(request)) > 1:
        raise InvalidRequestError(
            f"--images {request.image}: --timing is of one; give it by --image"
        )
    case = Case(options.model, options.weights, request, Reference(), options.path)
    folder = RunFolder(options.out or default_folder(f"{case.group}-timing"))
    print(f"run folder: {folder.path}")
    settings = Options(blocks=options.blocks or LOOKS[-1], device=options.device)
    with console.status("starting") as status:

        def progress(text: str) -> None:
            status.update(escape(text.partition("\n")[0]))

        launcher = Launcher(folder, settings, progress, GpuLock(options.device))
        records: dict[Method, list[Record]] = {method: [] for method in RIGHT}
        try:
            for method, record in measure(launcher, case, options.repeats):
                records[method].append(record)
                _print(console, told(method, len(records[method]), judged(records)[method][-1]))
        finally:
            launcher.release()
    return show(judged(records), console)


def measure(launcher: Launcher, case: Case, repeats: int) -> Iterator[tuple[Method, Record]]:
    """So many records of each of RIGHT, in turn. case: the request and the weights.

    Those that lie in the folder are not measured again. Raises InvalidRequestError if they are of
    another request or of other options.
    """
    reference = replace(case, method=Reference())
    with ExitStack() as workers:
        plain: list[Side] = []
        for method in RIGHT:
            posed = replace(case, method=method)
            paths = [_path(launcher.folder, posed, number) for number in range(1, repeats + 1)]
            kept = {path: _kept(path, posed, launcher.options) for path in paths if path.exists()}
            with ExitStack() as own:
                sides: list[Side] = []
                for path in paths:
                    if path not in kept:
                        plain = plain or [_entered(workers, launcher, reference)]
                        sides = sides or [_entered(own, launcher, posed)]
                        record = _repeat(launcher, *plain, *sides)
                        launcher.folder.check()
                        baselines.write_file(record, path)
                        kept[path] = baselines.read(path)
                    yield method, kept[path]


def judged(records: Mapping[Method, Sequence[Record]]) -> dict[Method, list[Verdict]]:
    """Each beside the first of M0 against M0, with the speed-up that this has: 1."""
    first = records[HOST][0]
    baseline = replace(first, metrics={**first.metrics, "speedup": 1.0})
    return {
        method: [posing(record, HOST, baseline, HOST.fidelity) for record in found]
        for method, found in records.items()
    }


def told(method: Method, number: int, verdict: Verdict) -> str:
    """One line on one repeat's verdict."""
    found = [c.message for c in verdict.checks if c.metric == "speedup" or c.status != "pass"]
    return f"{RIGHT[method][0]} {number}: {verdict.status}: {'; '.join(found)}"


def show(verdicts: Verdicts, console: Console) -> int:
    """Print how many are right; the exit code."""
    for line in _lines(verdicts):
        _print(console, line)
    wrong = [v for method, found in verdicts.items() for v in found if v.status != RIGHT[method][1]]
    return 1 if wrong else 0


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(verdicts: Verdicts) -> Iterator[str]:
    for method, found in verdicts.items():
        name, right = RIGHT[method]
        count = sum(verdict.status == right for verdict in found)
        low, high = (100 * end for end in exact_interval(count, len(found)))
        rate = f"{low:.1f} to {high:.1f} % (95 %)"
        yield f"{name}: {count} of {len(found)} are {right}; the rate is {rate}"


def _path(folder: RunFolder, case: Case, number: int) -> Path:
    return folder.path / "repeats" / case.group / f"{case.id}.{number}.json"


def _kept(path: Path, case: Case, options: Options) -> Record:
    found = baselines.read(path, "delete it, and it is measured again")
    then = found.full_request, found.run["options"]
    now = asdict(case.request), options.lasting
    if then != now:
        raise InvalidRequestError(
            f"{path} was measured with {then}, not {now}; choose another --out"
        )
    return found


def _entered(stack: ExitStack, launcher: Launcher, case: Case) -> Side:
    side = launcher.side(case, inputs_of(case))
    stack.enter_context(side.worker)
    return side


def _repeat(launcher: Launcher, reference: Side, side: Side) -> Record:
    """One record, of these workers, as if they had done nothing before."""
    own, other = (replace(one, samples=[]) for one in (side, reference))
    blocks = take_turns((launcher, other), (launcher, own))
    options = launcher.options
    run = {**run_identity(), "options": options.lasting}
    return record_of(own, other, other.samples, blocks, run, options.clip)
