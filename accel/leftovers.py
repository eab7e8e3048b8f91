"""At the end of a pytest run: which baselines did no gate test ask for, and which are orphans?

As for syrupy's snapshots, a baseline counts as unused only after a run that asked for all that
there is: of the tests that take the `gate` fixture, those that are marked gpu speak for the
hardware of GPUs, the others for the CPU's. If one of a kind was deselected or did not get its turn,
nothing is said of that kind, and nothing of any where a path or an option leaves files out. Nothing
here fails a test.

Under xdist each worker sees the cases of its own tests; the controller puts them together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from accel.gates import Gate

__all__ = ["KEY", "Leftovers"]

HANDED = "accel_leftovers"
NARROWING = ("keyword", "lf", "ignore", "ignore_glob")
"""Options that leave tests out without, or beside, deselecting them."""


@dataclass
class Seen:
    """What one process, or all of them, saw. Lists, for xdist carries no sets.

    tests: [kind, node id] of the gates that were collected; ran: of those that began; left_out:
    kinds of which some were deselected. asked: [kind, group, case id]; hardware: [kind, name].
    orphans: path -> why.
    """

    tests: list[list[str]] = field(default_factory=list)
    ran: list[list[str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    hardware: list[list[str]] = field(default_factory=list)
    orphans: dict[str, str] = field(default_factory=dict)

    def add(self, other: dict[str, Any]) -> None:
        """Put another process's with this one's."""
        for name, value in other.items():
            own = getattr(self, name)
            own.update(value) if isinstance(value, dict) else own.extend(value)

    def is_whole(self, kind: str) -> bool:
        """Whether no gate of a kind was left out, and all had their turn."""
        tests, ran = ({(k, name) for k, name in found} for found in (self.tests, self.ran))
        return kind not in self.left_out and all(t in ran for t in tests if t[0] == kind)


class Leftovers:
    """The pytest plugin. root: the baselines' folder. gate: of this process, once it is made."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        self.config, self.root = config, root
        self.gate: Gate | None = None
        self.seen = Seen()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.seen.left_out += {_kind(item) for item in items if _is_gate(item)}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.seen.tests = [[_kind(i), i.nodeid] for i in session.items if _is_gate(i)]

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        if _is_gate(item):
            self.seen.ran.append([_kind(item), item.nodeid])

    def pytest_sessionfinish(self) -> None:
        """Orphans are looked for where the methods are imported already, and only after gates."""
        if self.gate is not None:
            from accel.orphans import orphans

            self.seen.asked = [[*key] for key in self.gate.asked]
            self.seen.hardware = [[*pair] for pair in self.gate.hardware]
            self.seen.orphans = {str(path): why for path, why in orphans(self.root).items()}
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[HANDED] = asdict(self.seen)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker saw; one that crashed hands over nothing, and its tests did not run."""
        self.seen.add(getattr(node, "workeroutput", {}).get(HANDED, {}))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.seen.asked:
            return
        from accel.orphans import lines, unasked

        found = lines({Path(p): why for p, why in self.seen.orphans.items()}, "orphan")
        for kind, hardware in sorted({(k, h) for k, h in self.seen.hardware}):
            if self._is_wide() and self.seen.is_whole(kind):
                asked = {(group, case) for k, group, case in self.seen.asked if k == kind}
                unused = unasked(self.root, hardware, asked).items()
                own = {p: why for p, why in unused if str(p) not in self.seen.orphans}
                found += lines(own, "unused")
        if found:
            terminalreporter.section("baselines")
            for line in found:
                terminalreporter.line(line)

    def _is_wide(self) -> bool:
        """Whether pytest was given all the paths that it would take by itself, and no filter."""
        config = self.config
        if any(getattr(config.option, name, None) for name in NARROWING):
            return False
        start = config.invocation_params.dir
        given = {(start / path).resolve() for path in config.args}
        own = [config.rootpath / path for path in config.getini("testpaths")]
        return config.rootpath in given or (bool(own) and {p.resolve() for p in own} <= given)


def _is_gate(item: pytest.Item) -> bool:
    return "gate" in getattr(item, "fixturenames", ())


def _kind(item: pytest.Item) -> str:
    return "gpu" if item.get_closest_marker("gpu") else "cpu"


KEY = pytest.StashKey[Leftovers]()
"""Where a session keeps it."""
