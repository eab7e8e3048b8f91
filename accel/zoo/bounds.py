"""What Table 1 asks of the methods beside the true clip, from the scores of each input. Pure.

**Standard deviations** are those of paired differences: of a healthy method, over the inputs, of
its score minus the reference's for the same input and seed. The scores themselves differ between
scenes by more than healthy methods change them, and that spread would hide what a method does; a
standard error shrinks with the number of inputs, so that with enough of them any difference is
outside. How far a method is from a healthy one is the distance of their mean differences, in that
one's deviations; from all healthy ones, that of the nearest. Healthy is what does not declare that
its quality must or may fail; the reference itself has no differences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan

import numpy as np

from accel.core import Method, Weights
from accel.limits import GATE_ZERO
from accel.methods.fewer_steps import FewerSteps
from accel.methods.lcm import Lcm
from accel.methods.semi_structured import SemiStructured
from accel.stats import estimate
from accel.verdict import EXIT_CODES, Check, worst

__all__ = ["TRUTH", "Bound", "Found", "bounds", "line"]

TRUTH = "lpips_to_truth"
MOTION = "motion_amount"
DEVIATIONS, MOTION_KEPT, TUNED = 3.0, 0.8, 1.1
"""The least of untuned 2:4 and of lcm; of tuned 2:4 the most, over the reference's LPIPS."""


@dataclass(frozen=True)
class Found:
    """What one method's videos came to.

    text: the method as the command line wrote it. scores: by metric a number for each input, in
    the same order for all methods; NaN where a video has none. checks: the gate's, of its videos.
    """

    text: str
    method: Method
    weights: Weights
    scores: Mapping[str, Sequence[float]]
    checks: tuple[Check, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether it declares no failure, and is not the reference."""
        declared = self.method.must_fail() or self.method.may_fail(self.weights)
        return self.method.name != "reference" and not declared

    def mean(self, metric: str) -> float:
        return float(np.mean(self.scores[metric]))

    def beyond(self, other: "Found", metric: str) -> list[float]:
        """Its scores minus the other's, input by input."""
        pairs = zip(self.scores[metric], other.scores[metric], strict=True)
        return [own - its for own, its in pairs]


@dataclass(frozen=True)
class Bound:
    """One sentence of Table 1's. value: its number, or the gate's word on the videos."""

    bound: str
    value: float | str
    holds: bool


def bounds(found: Sequence[Found]) -> list[Bound]:
    """Each bound that these methods allow to be asked for, the reference first among them.

    A number that is NaN holds no bound.
    """
    return [bound for own in found for bound in _of(own, found)]


def line(own: Found, found: Sequence[Found]) -> dict[str, object]:
    """The numbers of one method beside the reference, which is the first of all.

    lpips_above_reference: Hodges-Lehmann estimate of the paired difference, and the ends of the
    interval, which covers 95 % from six inputs on, else `coverage`. deviations: of each gated
    metric, to the nearest healthy method other than itself. A number that cannot be had is NaN.
    """
    reference = found[0]
    above, coverage = _interval(own.beyond(reference, TRUTH))
    return {
        "method": own.text,
        "inputs": len(own.scores[TRUTH]),
        TRUTH: own.mean(TRUTH),
        "lpips_above_reference": above,
        "coverage": coverage,
        **{metric: own.mean(metric) for metric in (*GATE_ZERO, MOTION)},
        "motion_share": _share(own, reference, MOTION),
        "deviations": {
            metric: nearest for metric in GATE_ZERO if (nearest := _nearest(own, found, metric))
        },
        "gate": worst(own.checks) if own.checks else None,
    }


def _of(own: Found, found: Sequence[Found]) -> Iterator[Bound]:
    method, reference = own.method, found[0]
    if isinstance(method, Lcm):
        for other in found:
            if isinstance(other.method, FewerSteps) and other.method.steps == method.steps:
                yield _nearer(own, other)
        share = _share(own, reference, MOTION)
        text = f"{own.text} keeps {100 * MOTION_KEPT:.0f} % of the reference's motion: its share"
        yield Bound(text, share, share >= MOTION_KEPT)
    elif isinstance(method, SemiStructured):
        yield from _tuned(own, reference) if method.tuned else _untuned(own, found)


def _nearer(own: Found, other: Found) -> Bound:
    (_, low, _), _ = _interval(other.beyond(own, TRUTH))
    text = f"{own.text} is nearer to the true clip than {other.text}: low end of the difference"
    return Bound(text, low, low > 0)


def _untuned(own: Found, found: Sequence[Found]) -> Iterator[Bound]:
    """Nothing is asked of its distance where no healthy method was measured."""
    nearest = {m: at for m in GATE_ZERO if (at := _nearest(own, found, m))}
    if nearest:
        metric = max(nearest, key=lambda m: -inf if isnan(nearest[m][0]) else nearest[m][0])
        far, healthy = nearest[metric]
        text = f"{own.text} is {DEVIATIONS:g} deviations outside every healthy method on a metric"
        yield Bound(f"{text}: {metric}, from {healthy}", far, far >= DEVIATIONS)
    flagged = any(check.status == "as expected" for check in own.checks)
    yield Bound(f"{own.text} is flagged", worst(own.checks), flagged)


def _tuned(own: Found, reference: Found) -> Iterator[Bound]:
    """Of the distance one side alone: to be nearer than the reference is no fault."""
    ratio, most = _share(own, reference, TRUTH), 100 * TUNED
    text = f"{own.text} is at {most:.0f} % or less of the reference's LPIPS to the true clip"
    yield Bound(f"{text}: ratio", ratio, ratio <= TUNED)
    word = worst(own.checks)
    yield Bound(f"{own.text} passes", word, EXIT_CODES[word] == 0)


def _share(own: Found, reference: Found, metric: str) -> float:
    """Its mean over the reference's: of the mean over inputs, for some of them hardly move."""
    least = reference.mean(metric)
    return own.mean(metric) / least if least > 0 else nan


def _nearest(own: Found, found: Sequence[Found], metric: str) -> tuple[float, str] | None:
    """Deviations to the nearest healthy method of the others, and its text; None without any.

    NaN if any of the scores is: then nobody knows.
    """
    others = [other for other in found if other.healthy and other is not own]
    if not others:
        return None
    gaps = [_deviations(own, other, found[0], metric) for other in others]
    place = int(np.argmin(gaps))  # of a NaN, if there is one
    return gaps[place], others[place].text


def _deviations(own: Found, other: Found, reference: Found, metric: str) -> float:
    mean, theirs = (one.beyond(reference, metric) for one in (own, other))
    gap = abs(float(np.mean(mean)) - float(np.mean(theirs)))
    spread = float(np.std(theirs, ddof=1))
    return gap / spread if spread else (inf if gap else 0.0)


def _interval(differences: Sequence[float]) -> tuple[tuple[float, float, float], float]:
    """Estimate, low and high end, and what they cover; NaN if a difference is not finite."""
    if not all(map(isfinite, differences)):
        return (nan, nan, nan), nan
    told = estimate(differences)
    return (told.value, told.low, told.high), told.coverage
