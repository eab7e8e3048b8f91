"""Every error that accel raises on purpose.

AccelError
├── InvalidRequestError       a value that cannot work: the message names it and the remedy
│   └── UnknownNameError      a name that is not registered: the message names the nearest one
├── MissingWeightsError       weights that must be fetched or put somewhere first
├── IntegrityError            a file or a network that is not the pinned one
├── NotSupportedError         a method that refuses this pipeline, with its reason
├── OutputError               a folder or file that cannot be written, or that another run has
├── BaselineError             a baseline file that cannot be used
├── GpuBusyError              another run measures on this GPU
├── RefusedError              records that must not become baselines: the message says why
└── CaseError                 one case failed; the other cases of the run go on
    ├── NoEffectError         the observed counters are not the expected ones
    ├── OutOfMemoryError      the device ran out of memory
    ├── WorkerDiedError       the worker process ended without an answer
    └── WorkerTimeoutError    the worker process gave no answer in time
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

__all__ = [
    "AccelError",
    "BaselineError",
    "CaseError",
    "GpuBusyError",
    "IntegrityError",
    "InvalidRequestError",
    "MissingWeightsError",
    "NoEffectError",
    "NotSupportedError",
    "OutOfMemoryError",
    "OutputError",
    "RefusedError",
    "UnknownNameError",
    "WorkerDiedError",
    "WorkerTimeoutError",
    "cannot_write",
    "unknown_name",
]


class AccelError(Exception):
    """The root: `except AccelError` catches everything that accel raises on purpose."""


class InvalidRequestError(AccelError):
    """A value that cannot work."""


class UnknownNameError(InvalidRequestError):
    """A name that is not registered."""


class MissingWeightsError(AccelError):
    """Weights that must be fetched or put somewhere first."""


class IntegrityError(AccelError):
    """A file or a network that is not the pinned one."""


class NotSupportedError(AccelError):
    """A method that refuses this pipeline."""


class OutputError(AccelError):
    """A folder or file that cannot be written, or that another run has."""


class BaselineError(AccelError):
    """A baseline that cannot be read or used."""


class GpuBusyError(AccelError):
    """Another run measures on this GPU."""


class RefusedError(AccelError):
    """Records that must not become baselines."""


class CaseError(AccelError):
    """One case failed; the other cases of the run go on."""


class NoEffectError(CaseError):
    """The observed counters are not the expected ones."""


class OutOfMemoryError(CaseError):
    """The device ran out of memory."""


class WorkerDiedError(CaseError):
    """The worker process ended without an answer."""


class WorkerTimeoutError(CaseError):
    """The worker process gave no answer in time."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for `name`, with the nearest known name if one is near, else all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(names)}"
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a file that could not be written: a full disk, no rights, a folder gone."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; make its folder writable, free some "
        "space, or choose another folder"
    )
