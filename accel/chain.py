"""Several methods as one: what a combination claims, expects and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, ClassVar

from accel.core import FIDELITIES, Claim, Counters, Fidelity, Method, Request, Weights
from accel.errors import InvalidRequestError, NotSupportedError
from accel.limits import NEAR, family

if TYPE_CHECKING:
    from pathlib import Path

    from accel.models.svd import Pipeline
    from accel.verdict import Status

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain(Method):
    """Several methods, applied in order. Refuses a pair that cannot go together."""

    methods: tuple[Method, ...]

    name: ClassVar[str] = "chain"
    source: ClassVar[str] = "composition"

    @property
    def fidelity(self) -> Fidelity:  # type: ignore[override]
        """The loosest promise of its parts."""
        return max((method.fidelity for method in self.methods), key=FIDELITIES.index)

    def __post_init__(self) -> None:
        names = [method.name for method in self.methods]
        if len(self.methods) < 2 or len(set(names)) < len(names):
            raise InvalidRequestError(f"a chain takes two or more different methods, not {names}")
        for earlier, later in combinations(self.methods, 2):
            if conflict := _conflict(earlier, later):
                raise InvalidRequestError(conflict)

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Time and memory as the parts claim them; quality as those of the loosest fidelity do.

        Of two bounds of one kind memory keeps the tighter: each part brings its gain along. Quality
        keeps the looser. Time: see `_speed`.
        """
        found: dict[tuple[str, bool], Claim] = {}
        for method in self.methods:
            for claim in method.claims(request):
                if claim.metric == "speedup":
                    continue
                quality = family(claim.metric) == "quality"
                if quality and method.fidelity != self.fidelity:
                    continue
                other = found.get(key := (claim.metric, claim.delta), claim)
                found[key] = claim.looser(other) if quality else claim.tighter(other)
        return (*self._speed(request), *found.values())

    def _speed(self, request: Request) -> tuple[Claim, ...]:
        """The best part's floor, times every other one below 1: what it costs stays.

        None if a part claims no speed at all, for it may be slower.
        """
        every = [{c.metric: c.at_least for c in m.claims(request)} for m in self.methods]
        *others, best = sorted(claims.get("speedup") or 0 for claims in every)
        floor = best * prod(min(1, other) for other in others)
        return (Claim("speedup", at_least=floor),) if floor else ()

    def must_fail(self) -> tuple[Status, ...]:
        """What one part ruins, the others do not mend; but a looser bound of theirs may pass it."""
        return () if self._loosened else self._ruin

    def may_fail(self, weights: Weights) -> tuple[Status, ...]:
        """What may fail in a part, and what must where another part loosens its bound."""
        found = list(self._ruin if self._loosened else ())
        found += [status for method in self.methods for status in method.may_fail(weights)]
        return tuple(dict.fromkeys(found))

    @property
    def _ruin(self) -> tuple[Status, ...]:
        return tuple(dict.fromkeys(s for method in self.methods for s in method.must_fail()))

    @property
    def _loosened(self) -> bool:
        """Whether another part allows more LPIPS, which tells a ruin, than NEAR does."""
        return any(
            method.fidelity == "new_sample"
            or any(c.looser(NEAR) != NEAR for c in method.claims(Request()) if c.metric == "lpips")
            for method in self.methods
            if not method.must_fail()
        )

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return {name: path for m in self.methods for name, path in m.weight_files(weights).items()}

    def unfit(self, request: Request) -> str | None:
        for method in self.methods:
            if reason := method.unfit(request):
                return reason
            request = method.requested(request)
        return None

    def refuses(self, pipeline: Pipeline) -> str | None:
        """The first reason of a part, asked about the pipeline as the parts before it leave it."""
        walked = self._walked(pipeline)
        return next((reason for m, seen in walked if (reason := m.refuses(seen))), None)

    def expected(self, pipeline: Pipeline) -> Counters:
        found: Counters = {}
        for method, seen in self._walked(pipeline):
            found |= method.expected(seen)
        return found

    def _walked(self, pipeline: Pipeline) -> Iterator[tuple[Method, Pipeline]]:
        """Each part, with a copy of the pipeline on which the parts before it are foreseen."""
        seen = copy(pipeline)
        for method in self.methods:
            yield method, seen
            method.foresee(seen)

    def apply(self, pipeline: Pipeline) -> None:
        for method in self.methods:
            if reason := method.refuses(pipeline):
                raise NotSupportedError(f"{method.name}: {reason}")
            method.apply(pipeline)

    @property
    def slug(self) -> str:
        return "+".join(method.slug for method in self.methods)


def _conflict(earlier: Method, later: Method) -> str | None:
    """Why one method cannot follow another, with the remedy, or None."""
    if "reference" in (earlier.name, later.name):
        return "reference edits nothing, so that it is no part of a chain; leave it out"
    if earlier.edits_code:
        return (
            f"{later.name} cannot follow {earlier.name}, which freezes the pipeline's code as it "
            f"is; put {earlier.name} last"
        )
    if earlier.sets_steps and later.sets_steps:
        return f"{earlier.name} and {later.name} both set the number of steps; leave one out"
    if earlier.counts_steps and later.sets_steps:
        return (
            f"{later.name} cannot follow {earlier.name}, which counts the steps; "
            f"put {later.name} first"
        )
    return None
