"""The parent's side of the workers: start one, ask it, and raise its errors with their types."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

from accel import errors
from accel.core import Case, Method, Request
from accel.errors import AccelError, CaseError, WorkerDiedError, WorkerTimeoutError
from accel.methods import modules_of

__all__ = ["PROTOCOL", "Worker"]

PROTOCOL = 4
"""Number of the verbs, their arguments and answers; accels that differ in it cannot be compared."""

LOG_TAIL = 2000
"""Characters of the worker's log that a death or a time-out quotes."""

PRELOADED = [
    *("torch", "torch._dynamo", "torchvision", "scipy.stats"),
    *("transformers", "transformers.models.auto", "transformers.core_model_loading"),
]
"""What takes long to import, and starts no CUDA by being imported, as torchao and diffusers do."""


@cache
def _context() -> ForkServerContext:
    """Workers are forked from a process that has imported PRELOADED and done nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Process(Protocol):
    """What a worker needs of its process."""

    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...
    def is_alive(self) -> bool: ...
    def kill(self) -> None: ...
    def join(self) -> None: ...


Start = Callable[[Path, str], tuple[Connection, Process]]


class Worker:
    """A process of its own for one case: no other method's allocator, caches or graphs.

    log: file that takes whatever the process prints. timeout: seconds that any one answer may
    take. device: "cpu", "cuda" (an error without a GPU), or None for a GPU where there is one.
    start: what starts the process; the default forks one of this accel.
    """

    def __init__(
        self, log: Path, timeout: float, device: str | None = None, start: Start | None = None
    ) -> None:
        self.log, self.timeout = log, timeout
        self._pipe, self._process = (start or _fork)(log, device or "auto")

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return self._process.is_alive()

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
        """A fresh pipeline, under the case's cap: seconds, fingerprint."""
        return self._ask(
            "load",
            model=case.model,
            weights=case.weights,
            path=case.path,
            request=asdict(case.request),
            vram_cap=case.vram_cap,
        )

    def apply(self, method: Method) -> dict[str, Any]:
        """The method's edit: seconds, the counters expected after it, and the state of TF32."""
        return self._ask("apply", method=repr(method), modules=modules_of(method))

    def warm(self) -> float:
        """Seconds of the warm-up, compilation included."""
        return float(self._ask("warm")["seconds"])

    def generate(self, request: Request, frames: Path | None = None) -> dict[str, Any]:
        """One measured generation: sample and counters; frames are written to the path.

        request: of one input; its picture and seed alone may differ from what was loaded.
        """
        path = None if frames is None else str(frames)
        return self._ask("generate", image=request.image, seed=request.seed, frames=path)

    def calls(self, stage: str | None = None) -> dict[str, float]:
        """Seconds of one call of each kind that a generation makes, of one stage or of all: see
        accel.calls."""
        return dict(self._ask("calls", stage=stage)["seconds"])

    def sizes(self, sizes: list[list[int]]) -> dict[str, Any]:
        """Short generations at these widths and heights: see accel.cold_start."""
        return self._ask("sizes", sizes=sizes)

    def close(self) -> None:
        """End the process; it holds nothing that is worth waiting for."""
        self._end()
        self._pipe.close()

    def _end(self) -> None:
        """Until it is reaped it would count as alive."""
        self._process.kill()
        self._process.join()

    def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        try:
            self._pipe.send_bytes(json.dumps({"verb": verb, **arguments}).encode())
            if not self._pipe.poll(self.timeout):
                self._timed_out(verb)
            answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, ConnectionError):
            self._died(verb)
        except BaseException:  # Ctrl-C, or a test's timeout: it still owes an answer
            self._end()
            raise
        if "error" in answer:
            raise _error(answer["error"])
        return dict(answer["ok"])

    def _timed_out(self, verb: str) -> NoReturn:
        self._end()
        raise WorkerTimeoutError(
            f"the worker gave no answer to {verb!r} in {self.timeout:g} s and was killed; if it "
            f"was at work, and did not hang, give --timeout more; {self._log_tail()}"
        )

    def _died(self, verb: str) -> NoReturn:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = ", as the kernel ends it where memory runs out" if code == -signal.SIGKILL else ""
        raise WorkerDiedError(
            f"the worker ended with {how} during {verb!r}{why}; {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"its log, {self.log}, ends:\n{text[-LOG_TAIL:].strip() or '(empty)'}"


@contextmanager
def _errors_to(log: Path) -> Iterator[None]:
    """What the first fork's imports have to say goes to a log, and not across a progress bar."""
    ours, output = os.dup(2), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(output)


def _fork(log: Path, device: str) -> tuple[Connection, Process]:
    ours, theirs = _context().Pipe()
    process = _context().Process(target=_serve, args=(theirs, str(log), device), daemon=True)
    with _errors_to(log):
        process.start()
    theirs.close()
    return ours, process


def _serve(pipe: Any, log: str, device: str) -> None:
    """The child's entry: importing accel.worker here keeps torch out of the parent.

    A fork server ends when nobody holds its pipe any more: the worker, which follows it, must not.
    """
    from accel.worker import serve

    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    serve(pipe, log, device)


def _error(data: Mapping[str, str]) -> AccelError:
    """The worker's error with its own type if it is one of accel's, else as a CaseError."""
    kind = getattr(errors, data["type"], None)
    if isinstance(kind, type) and issubclass(kind, AccelError):
        return kind(data["message"])
    return CaseError(f"{data['type']}: {data['message']}")
