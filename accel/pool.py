"""The parent's side of the workers: start one, ask it, and raise its errors with their types."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from accel import errors
from accel.core import Case, Method
from accel.errors import AccelError, CaseError, WorkerDiedError, WorkerTimeoutError
from accel.methods import modules_of

__all__ = ["Worker"]

LOG_TAIL = 2000
"""Characters of the worker's log that a death or a time-out quotes."""


class Worker:
    """A process of its own for one case: no other method's allocator, caches or graphs.

    log: file that takes whatever the process prints. timeout: seconds that any one answer may
    take. device: "cpu", "cuda" (an error without a GPU), or None for a GPU where there is one.
    """

    def __init__(self, log: Path, timeout: float, device: str | None = None) -> None:
        self.log, self.timeout = log, timeout
        self._log_file = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accel.worker", device or "auto"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            env=_environment(),
        )
        assert self._process.stdout is not None
        self._answers = selectors.DefaultSelector()
        self._answers.register(self._process.stdout, selectors.EVENT_READ)
        self._pending = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def load(self, case: Case) -> dict[str, Any]:
        """A fresh pipeline: seconds, parameters of the denoiser, fingerprint."""
        request = asdict(case.request)
        return self._ask(
            "load", model=case.model, weights=case.weights, path=case.path, request=request
        )

    def apply(self, method: Method) -> dict[str, Any]:
        """The method's edit: seconds, and the counters expected after it."""
        return self._ask("apply", method=repr(method), modules=modules_of(method))

    def warm(self) -> float:
        """Seconds of the warm-up, compilation included."""
        return float(self._ask("warm")["seconds"])

    def generate(self, frames: Path | None = None) -> dict[str, Any]:
        """One measured generation: sample and counters; frames are written to the path."""
        return self._ask("generate", frames=None if frames is None else str(frames))

    def close(self) -> None:
        """End the process, at the latest after ten seconds by force."""
        assert self._process.stdin is not None
        if self._process.poll() is None:
            try:
                self._send({"verb": "close"})
                self._process.wait(timeout=10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._answers.close()
        self._log_file.close()

    def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        try:
            self._send({"verb": verb, **arguments})
        except BrokenPipeError:
            self._died(verb)
        answer = json.loads(self._read_line(verb))
        if "error" in answer:
            raise _error(answer["error"])
        return dict(answer["ok"])

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _read_line(self, verb: str) -> bytes:
        """The next whole line; the process may write it in pieces."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self._pending:
            if not self._answers.select(max(0.0, deadline - time.monotonic())):
                self._process.kill()
                raise WorkerTimeoutError(
                    f"the worker gave no answer to {verb!r} in {self.timeout:.0f} s and was "
                    f"killed; its log ends:\n{self._log_tail()}"
                )
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                self._died(verb)
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _died(self, verb: str) -> NoReturn:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise WorkerDiedError(
            f"the worker ended with {how} during {verb!r}; its log ends:\n{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:].strip() or "(empty)"


def _environment() -> dict[str, str]:
    """The parent's environment and import path, so that a method of any module is found."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path}


def _error(data: Mapping[str, str]) -> AccelError:
    """The worker's error with its own type if it is one of accel's, else as a CaseError."""
    kind = getattr(errors, data["type"], None)
    if isinstance(kind, type) and issubclass(kind, AccelError):
        return kind(data["message"])
    return CaseError(f"{data['type']}: {data['message']}")
