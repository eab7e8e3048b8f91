"""The numbers of the gate, as tables: how far each metric may go, and in which family it is.

Looser or tighter is a change here, reviewed like code; what is done with them is in accel.gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import expm1, log

from accel.core import Claim
from accel.verdict import Family, Status

__all__ = [
    "CLASSES",
    "COLD_RATIO",
    "COLD_SECONDS",
    "COMPOSITION",
    "EXACT",
    "GATE_ZERO",
    "GROWTH_MIB",
    "LIMITS",
    "MIN_PAIRS",
    "MOST_REJECTED",
    "MOTION",
    "MOTION_RATIO",
    "NEAR",
    "REQUIRED",
    "Limit",
    "family",
    "shown",
    "shown_move",
]


@dataclass(frozen=True)
class Limit:
    """How far a metric may be from its baseline.

    pattern: of metric names, as in a shell. The tolerance is the larger of relative (of the
    baseline's value) and absolute (in the metric's unit): both must be exceeded.
    higher_is_better None: a move either way is a regression. logarithmic: the difference is that
    of the natural logarithms, and so is `absolute`. timed: compared only where time tells of the
    method (accel.gate.is_timed). compiled: `absolute` of a record that compiled graphs, if more.
    """

    pattern: str
    relative: float = 0.0
    absolute: float = 0.0
    higher_is_better: bool | None = None
    logarithmic: bool = False
    timed: bool = False
    compiled: float = 0.0

    def covers(self, metric: str, timed: bool) -> bool:
        """Whether this limit holds for that metric; timed: of a record whose time is judged."""
        return fnmatchcase(metric, self.pattern) and (timed or not self.timed)

    def where_compiled(self) -> Limit:
        """The same limit for a record that compiled graphs."""
        return replace(self, absolute=max(self.absolute, self.compiled))

    def moved(self, old: float, value: float) -> float:
        """How far `value` is from `old`: the difference, or that of their natural logarithms."""
        return log(value) - log(old) if self.logarithmic else value - old

    def tolerance(self, old: float) -> float:
        """How far a value may have moved from `old`, without any calibration."""
        return max(self.relative * abs(old), self.absolute)


LIMITS = (
    Limit("speedup", absolute=0.03, higher_is_better=True, logarithmic=True, timed=True),
    Limit("memory.*.allocated_mib", relative=0.01, absolute=2, higher_is_better=False),
    Limit("memory.*.reserved_mib", relative=0.15, compiled=80, higher_is_better=False),
    Limit("memory.*.rss_mib", relative=0.10, absolute=100, higher_is_better=False),
    Limit("clip", absolute=0.01),
    Limit("tssim", absolute=0.02),
    Limit("tlpips", absolute=0.01),
    Limit("psnr", absolute=1.0, higher_is_better=True),
    Limit("ssim", absolute=0.02, higher_is_better=True),
    Limit("lpips", absolute=0.02, higher_is_better=False),
    Limit("tof", absolute=0.1, higher_is_better=False),
    Limit("motion_amount", relative=0.15, absolute=0.1),
    Limit("motion_ratio", absolute=0.1),
)
"""Against the baseline: the floor of its own, calibrated tolerances (accel.refresh.calibration).

Process memory depends on the driver, seconds on the card: not gated.

Reserved memory's 80 MiB of what compiles matter to small models alone: on an H200 a process that
compiled mini anew reserved 336 MiB, one that found its graphs in inductor's cache 268.

The speed-up's 0.03 leaves a slowdown of 5 % (0.049) an interval of 0.018 on either side. Ten blocks
keep to that in 8 of the 13 accepted records that have them, all of a busy host; the others are of
videos that took 1.3 to 6 s, and reach 0.027. It is far above what healthy full-size speed-ups
differed by between two runs: 0.005 on an idle host, and up to 0.006 beside a training, with four
CPU threads in each worker. (It was up to 0.016 beside a busy one, before workers took four.)
"""

EXACT = Claim("psnr", at_least=50.0)
"""Of every method of fidelity `exact`. fp16 kernels in another order gave 66 dB on mini."""

NEAR = Claim("lpips", at_most=0.05)
"""Of every `faithful` method that claims no LPIPS of its own.

Gate 0 alone passed untuned 2:4 sparsity on a quiet scene, at 0.19; 15 of 25 steps give 0.009.
"""

GROWTH_MIB = 1.0
"""What may still be in use after a generation beyond what was before it (memory.growth_mib).

Healthy mini cases on a CPU grow by less than 0.02 MiB. 1 MiB is less than the latents of one
full-size video (1.8 MiB in fp16), so that whoever keeps those is seen.
"""

REQUIRED = {
    "cpu": ("memory.peak.rss_mib",),
    "gpu": ("speedup", "memory.peak.allocated_mib"),
}
"""What must be there even if the record and its baseline both lack it."""

GATE_ZERO = {"clip": (0.02, 0.10), "tssim": (0.05, 0.20), "tlpips": (0.02, 0.10)}
"""Margins, either way, from the reference's value: exact and faithful methods, then new_sample.

A method that claims a metric of these, or motion_ratio, is judged by its claim instead.

In a published comparison on SVD at 25 steps (seed 000), 15 steps moved tSSIM by 0.02, 4 steps by
0.26, other weights by 0.18.
"""

MOTION_RATIO = ((0.8, 1.25), (0.5, 2.0))
"""Range of the motion amount, candidate over reference: exact and faithful, then new_sample."""

MOTION: dict[tuple[str, str], Status] = {
    ("smooth", "static"): "collapsed",
    ("jerky", "static"): "collapsed",
    ("smooth", "jerky"): "regressed",
    ("smooth", "flicker"): "regressed",
    ("jerky", "flicker"): "regressed",
    ("low-texture", "flicker"): "regressed",
    ("low-texture", "static"): "inconclusive",
    ("flicker", "static"): "inconclusive",
    ("smooth", "low-texture"): "inconclusive",
    ("jerky", "low-texture"): "inconclusive",
}
"""Motion class before and now; every other pair of classes passes."""

CLASSES = ("static", "smooth", "jerky", "flicker", "low-texture")

MIN_PAIRS = 6
"""From so many pairs an interval covers 95 %: then a claim on speed must hold for all of it."""

MOST_REJECTED = 0.25
"""Of the blocks of single calls; beyond it the machine is no place to measure at."""

COLD_RATIO, COLD_SECONDS = 0.25, 2.0
"""How far a cold start, over the reference's, may be from the baseline's: the larger of a share of
it, and so many seconds. Compilers wait for disks and for other processes, so that their time varies
more than any GPU's; a cache that is lost costs several times as much. From thinking, not measured.
"""

COMPOSITION = 0.05
"""How far, as a log ratio, the speed-up of single calls may be from that of whole generations."""

_SPEED = (
    "fps", "s_per_frame", "preparation_seconds", "break_even_videos", "energy_j",
    "blocks_rejected", "composition",
)  # fmt: skip
_UNITS = {
    "memory": " MiB", "seconds": " s", "s_per_frame": " s", "preparation_seconds": " s",
    "speedup": "x", "fps": " frames/s", "psnr": " dB", "tof": " px/frame",
    "motion_amount": " px/frame", "energy_j": " J", "temperature_c": " °C", "sm_clock_mhz": " MHz",
}  # fmt: skip


def family(metric: str) -> Family:
    """The family that a metric is judged in; a counter (`counters.<name>`) is speed."""
    if metric.startswith("memory."):
        return "memory"
    speed = metric in _SPEED or metric.startswith(("seconds", "speedup", "counters."))
    return "speed" if speed else "quality"


def shown(metric: str, value: float) -> str:
    """A value in at least four digits, with its unit."""
    text = f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return text + _UNITS.get(metric.split(".")[0], "")


def shown_move(metric: str, limit: Limit, size: float, *, signed: bool = False) -> str:
    """How far a metric moved, or may move: with its unit, or in per cent of a logarithmic limit."""
    text = f"{100 * expm1(size):.1f} %" if limit.logarithmic else shown(metric, size)
    return f"+{text}" if signed and size > 0 else text
