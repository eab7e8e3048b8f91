"""Sides are started and made to generate here, for whoever lets two of them take turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from accel import turns
from accel.core import Case, Request
from accel.errors import InvalidRequestError
from accel.limits import MIN_PAIRS
from accel.lock import GpuLock
from accel.models.checksums import checksums
from accel.models.images import inputs
from accel.pool import Start, Worker
from accel.runs import RunFolder
from accel.side import Side
from accel.telemetry import Telemetry

__all__ = ["Launcher", "Options", "Progress", "inputs_of", "take_turns"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How cases are measured.

    pairs: generations of each side, at least 1, taking turns. blocks: at most so many of single
    calls after them (accel.turns); 0 for none. They tell the speed-up where the pairs are fewer
    than MIN_PAIRS; beside more pairs they are checked against those. device: "cpu", or None for a
    GPU where there is one. clip: model of the CLIP metric. timeout: seconds for any one answer of a
    worker (a compilation takes minutes). cold: measure the cold start of methods that compile,
    too (accel.cold_start). timed: whether seconds are judged; where they are not, a reference that
    has generated does not again beside each candidate. fresh: a process for each generation, one
    at a time (accel.fresh); not with blocks. Pairs, blocks, clip and fresh go into the record.

    Raises InvalidRequestError for fresh with blocks.
    """

    pairs: int = 3
    blocks: int = 0
    device: str | None = None
    clip: str = "mini"
    timeout: float = 900.0
    cold: bool = False
    timed: bool = True
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.fresh and self.blocks:
            raise InvalidRequestError(
                f"{self.blocks} blocks are single calls of two processes in turns, and of fresh "
                "ones there is only one at a time; leave out --blocks or --fresh"
            )

    @property
    def blocks_tell(self) -> bool:
        """Whether the speed-up is that of the blocks: so few generations have no interval."""
        return self.blocks > 0 and self.pairs < MIN_PAIRS

    @property
    def once(self) -> bool:
        """Whether the reference generates for all candidates at once: no pair tells a speed-up."""
        return self.blocks_tell or not self.timed

    @property
    def lasting(self) -> dict[str, Any]:
        """What a record depends on besides its case."""
        names = ("pairs", "blocks", "clip", "fresh")
        return {name: getattr(self, name) for name in names}


@dataclass
class Launcher:
    """Starts sides whose frames and logs go to one folder.

    start: what starts a worker's process; None forks one of this accel. pids: of all workers of the
    run, which are not foreign to each other; launchers of one run share them, and the lock.
    """

    folder: RunFolder
    options: Options
    progress: Progress
    lock: GpuLock
    start: Start | None = None
    pids: set[int] = field(default_factory=set)

    def side(self, case: Case, asked: list[Request]) -> Side:
        """Stages load and apply, and the warm-up, with the first input.

        Raises OutputError if another run measures into the folder, GpuBusyError if one has the GPU.
        """
        self.folder.hold()
        self.lock.take()
        options = self.options
        worker = Worker(self.folder.log(case), options.timeout, options.device, self.start)
        self.pids.add(worker.pid)
        try:
            return self._prepared(Side(case, worker, asked, self.folder))
        except BaseException:
            worker.close()
            raise

    def release(self) -> None:
        """Let others have the GPU and the folder, when the workers have ended."""
        self.lock.release()
        self.folder.release()

    def _prepared(self, side: Side) -> Side:
        case, worker = side.case, side.worker
        self.progress(f"{case.id}: loading {case.model} {case.weights}")
        loaded = worker.load(replace(case, request=side.inputs[0]))
        side.fingerprint = loaded["fingerprint"]
        self.lock.check(side.gpu)
        applied = worker.apply(case.method)
        side.expected = applied["expected"]
        side.fingerprint["tf32"] = applied["tf32"]
        if self.start is None:  # another accel may take another file than this one would
            side.fingerprint["weights"] = checksums(case)
        self.progress(f"{case.id}: warming up")
        warm = worker.warm()
        side.preparation = {"load": loaded["seconds"], "apply": applied["seconds"], "warm": warm}
        return side

    def generate(self, side: Side, label: str) -> None:
        """One measured generation of the first input."""
        self.progress(f"{label} ({side.case.method.slug})")
        with Telemetry(side.gpu, [side.worker.pid], self.pids) as telemetry:
            sample = side.generate(0)
        side.samples.append({**sample, "telemetry": telemetry.result()})

    def generate_further(self, side: Side) -> None:
        """Every other input once, for its quality alone."""
        for index in range(side.videos, len(side.inputs)):
            self.progress(f"{side.case.id}: input {index + 1} of {len(side.inputs)}")
            side.generate(index)


def take_turns(one: tuple[Launcher, Side], other: tuple[Launcher, Side]) -> list[turns.Block]:
    """Both sides generate in pairs, then make single calls in blocks, then the further inputs.

    The other is the candidate; the two launchers have the same options. The blocks are returned,
    the rest is kept in the sides. Where no pair tells the speed-up, a reference that has generated
    does not again: of its generations memory, scores and what is between the calls are taken.
    """
    (launcher, reference), (_, candidate) = one, other
    case, options = candidate.case, launcher.options
    done = options.once and len(reference.samples) >= options.pairs
    for pair in range(options.pairs):
        for starter, side in (one, other) if pair % 2 == 0 else (other, one):
            if side is candidate or not done:
                starter.generate(side, f"{case.id}: pair {pair + 1} of {options.pairs}")
    blocks: list[turns.Block] = []
    if options.blocks:
        launcher.progress(f"{case.id}: single calls in turns ({case.method.slug})")
        blocks = turns.measure(reference, candidate, options.blocks, launcher.pids)
    for starter, side in (one, other):
        starter.generate_further(side)
    return blocks


def inputs_of(case: Case) -> list[Request]:
    """Of a case whose quality is not judged the first one: the others would tell nothing."""
    found = inputs(case.request)
    return found if case.judged else found[:1]
