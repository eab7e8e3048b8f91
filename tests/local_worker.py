"""A worker in the test's own process: for whole runs that need no isolation, in a second each."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accel.core import Case, Method, Request
from accel.methods import modules_of
from accel.pool import _error
from accel.worker import Session, _answer


class LocalWorker:
    """Stands for accel.pool.Worker: the same session, verbs and errors, without the pipes."""

    alive = True

    def __init__(
        self, log: Path, timeout: float, device: str | None = None, start: object = None
    ) -> None:
        self.session, self.pid = Session(device or "auto"), os.getpid()

    def __enter__(self) -> LocalWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def load(self, case: Case) -> dict[str, Any]:
        request = asdict(case.request)
        return self._ask(
            "load",
            model=case.model,
            weights=case.weights,
            path=case.path,
            request=request,
            vram_cap=case.vram_cap,
        )

    def apply(self, method: Method) -> dict[str, Any]:
        return self._ask("apply", method=repr(method), modules=modules_of(method))

    def warm(self) -> float:
        return float(self._ask("warm")["seconds"])

    def generate(self, request: Request, frames: Path | None = None) -> dict[str, Any]:
        path = None if frames is None else str(frames)
        return self._ask("generate", image=request.image, seed=request.seed, frames=path)

    def calls(self, stage: str | None = None) -> dict[str, float]:
        return dict(self._ask("calls", stage=stage)["seconds"])

    def sizes(self, sizes: list[list[int]]) -> dict[str, Any]:
        return self._ask("sizes", sizes=sizes)

    def close(self) -> None:
        """There is no process to end."""

    def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        answer = _answer(self.session, verb, arguments)
        if "error" in answer:
            raise _error(answer["error"])
        return dict(answer["ok"])
