"""Reference and candidate take turns with single calls, in blocks, until the speed-up is known.

A block is ABBA or BAAB (accel.sequential). Each of its four turns times a denoiser call of every
kind, and their seconds compose those of a generation (accel.calls). Encoding, and decoding a chunk
of each size, are timed in the first turn of each side: of svd-xt that takes about as long as a
denoiser call, and all chunks a tenth of a generation. No call is taken over from another block, for
an interval over blocks does not see an error that all of them share; what lies between the calls
is, from whole generations. A block in which the machine was not the same for both sides is kept,
with the reason, and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from statistics import median
from typing import Any

from accel.core import Metrics
from accel.limits import MOST_REJECTED
from accel.sequential import LOOKS, block_ratios, enough, interval
from accel.side import Side
from accel.stats import log_ratios
from accel.summary import speedup_metrics
from accel.telemetry import Telemetry, disturbed

__all__ = [
    "Block",
    "accepted",
    "block_metrics",
    "composed",
    "measure",
    "rejection",
    "too_many",
]

Block = dict[str, Any]
"""{"reference": [s, s], "candidate": [s, s], "rejected": reason or "", "telemetry": [...]}.

Composed seconds of each side's two turns, and what was seen in the four, the reference's first.
"""

Watched = dict[str, Any]

CLOCKS = 0.02
"""How far the sides' clocks may be apart in one block, as a share.

Unless the slower one met the power cap: its clock follows what its kernels draw, a part of the
method. On an H200 at its cap a compiled svd-xt ran at 1789 to 1845 MHz, M0 at 1882 to 1954.
"""


def measure(reference: Side, candidate: Side, most: int, pids: Iterable[int]) -> list[Block]:
    """Blocks until enough of them count (accel.sequential), or too many are rejected. most: that
    count. pids: of all workers of the run, so that they are not foreign.
    """
    blocks: list[Block] = []
    sides = _Turns(reference, pids), _Turns(candidate, pids)
    while not (too_many(blocks) or enough(accepted(blocks), most)):
        blocks.append(_block(*sides, len(blocks)))
    return blocks


def accepted(blocks: Sequence[Block]) -> list[float]:
    """The log speed-up of each block that counts."""
    return [
        ratio
        for block in blocks
        if not block["rejected"]
        for ratio in block_ratios(
            log_ratios(zip(block["reference"], block["candidate"], strict=True))
        )
    ]


def too_many(blocks: Sequence[Block]) -> bool:
    """Whether so many of at least LOOKS[0] blocks were rejected that the machine is unfit."""
    rejected = sum(bool(block["rejected"]) for block in blocks)
    return len(blocks) >= LOOKS[0] and rejected > MOST_REJECTED * len(blocks)


def block_metrics(blocks: Sequence[Block], whole: tuple[float, float]) -> Metrics:
    """The speed-up that the blocks tell, and how many of them were rejected.

    composition: how far the composed ratio is from that of `whole` generations, as a factor; their
    seconds are the reference's and the candidate's. Without a block that counts, only that.
    """
    metrics: Metrics = {"blocks_rejected": sum(bool(b["rejected"]) for b in blocks) / len(blocks)}
    if not (ratios := accepted(blocks)):
        return metrics
    found = interval(ratios)
    composition = exp(found.value - log(whole[0] / whole[1]))
    return metrics | speedup_metrics(found) | {"composition": composition}


def composed(counts: Mapping[str, int], seconds: Mapping[str, float], between: float) -> float:
    """Seconds of a generation: each kind's count times its seconds, and what is between them.

    Raises KeyError for a kind that was counted and never timed.
    """
    return between + sum(count * seconds[kind] for kind, count in counts.items())


def rejection(reference: Sequence[Watched], candidate: Sequence[Watched]) -> str:
    """Why a block does not count, or nothing; of its turns' telemetry (Telemetry.result)."""
    if found := disturbed((*reference, *candidate)):
        return found
    clocks = [(_clock(side), _is_capped(side)) for side in (reference, candidate)]
    (low, capped), (high, _) = sorted(clocks)
    if low > 0 and high > (1 + CLOCKS) * low and not capped:
        return f"the sides ran at different clocks: {low:.0f} and {high:.0f} MHz"
    return ""


def _clock(turns: Sequence[Watched]) -> float:
    """MHz; 0 where nothing tells it."""
    told = [float(turn["sm_clock_mhz"]) for turn in turns if "sm_clock_mhz" in turn]
    return median(told) if told else 0.0


def _is_capped(turns: Sequence[Watched]) -> bool:
    return any("power_cap" in turn.get("throttle", ()) for turn in turns)


class _Turns:
    """The turns of one side. known: the newest seconds of each kind of call."""

    def __init__(self, side: Side, pids: Iterable[int]) -> None:
        self.side, self.pids = side, pids
        self.known: dict[str, float] = {}

    def take(self, stage: str | None) -> tuple[float, Watched]:
        """Composed seconds and telemetry of one turn: the calls of one stage, or of all."""
        side = self.side
        with Telemetry(side.gpu, [side.worker.pid], self.pids) as telemetry:
            self.known |= side.worker.calls(stage)
        counts = side.samples[-1]["calls"]
        return composed(counts, self.known, _between(side.samples)), telemetry.result()


def _block(reference: _Turns, candidate: _Turns, number: int) -> Block:
    """ABBA; every second block BAAB. Each side's second turn knows the decoder from its first."""
    first, second = (reference, candidate) if number % 2 == 0 else (candidate, reference)
    order = (first, None), (second, None), (second, "denoise"), (first, "denoise")
    turns = [(side, side.take(stage)) for side, stage in order]
    own, other = ([turn for side, turn in turns if side is one] for one in (reference, candidate))
    seen = [[watched for _, watched in side] for side in (own, other)]
    return {
        "reference": [seconds for seconds, _ in own],
        "candidate": [seconds for seconds, _ in other],
        "rejected": rejection(*seen),
        "telemetry": [*seen[0], *seen[1]],
    }


def _between(samples: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of a generation that no call has: the fewest, for all blocks share them.

    Most of them blur the image, on the CPU, in threads that anything holds up: beside an H200 they
    were mostly 0.026 s of 0.73, but often 0.04. By the median of three generations 20 repeats of M0
    against M0 varied by 0.37 % (standard deviation); by the fewest, from the same records, by 0.16.
    """
    return max(0.0, min(float(sample["between"]) for sample in samples))
