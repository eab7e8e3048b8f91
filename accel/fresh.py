"""Sides that start anew for each generation, one after the other: one at a time is on the device.

For two sides that do not fit onto one GPU together; and for what differs between two starts of the
same code, as the choices of a compiler's autotuning or where an allocator put things. Both are in
the ratio of each pair then, and so in the interval over pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.core import Case, Request
from accel.launch import Launcher
from accel.side import Side

__all__ = ["Fresh", "alone", "take_turns"]


@dataclass
class Fresh:
    """One of the two. asked: its inputs. side: what was measured so far; its workers have ended."""

    launcher: Launcher
    case: Case
    asked: list[Request]
    side: Side | None = None

    @property
    def generations(self) -> int:
        """How many there are so far."""
        return len(self.side.samples) if self.side else 0

    def generate(self, label: str) -> Side:
        """One measured generation of a new process; the first one makes the further inputs, too.

        Each sample keeps its process's preparation. The side's is the first one's, for the others
        find a compiler's cache filled. Growth is not told: what is kept once and what is kept each
        time are alike after one generation. Returns the side.
        """
        side, before = self.launcher.side(self.case, self.asked), self.side
        own = side.preparation
        with side.worker:
            if before:
                side.samples, side.videos, side.rows = before.samples, before.videos, before.rows
                side.preparation = before.preparation
            self.launcher.generate(side, label)
            self.launcher.generate_further(side)
        side.samples[-1]["preparation"] = own
        side.samples[-1].pop("grown_mib", None)
        self.side = side
        return side


def alone(reference: Fresh) -> Side:
    """The side of a reference with all its generations; those beside candidates count."""
    case, pairs = reference.case, reference.launcher.options.pairs
    while reference.side is None or reference.generations < pairs:
        reference.generate(f"{case.id}: {reference.generations + 1} of {pairs}")
    return reference.side


def take_turns(reference: Fresh, candidate: Fresh) -> tuple[Side, Side]:
    """Both generate in pairs, as ABBA; their sides.

    Where no pair tells the speed-up, a reference that has generated does not again.
    """
    options = candidate.launcher.options
    done = options.once and reference.generations >= options.pairs
    for pair in range(options.pairs):
        label = f"{candidate.case.id}: pair {pair + 1} of {options.pairs}"
        for one in (reference, candidate) if pair % 2 == 0 else (candidate, reference):
            if one is candidate or not done:
                one.generate(label)
    assert reference.side is not None
    assert candidate.side is not None
    return reference.side, candidate.side
