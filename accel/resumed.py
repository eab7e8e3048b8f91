"""May a run go on in a folder that another one began? Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from accel import gpus
from accel.core import Case, Record
from accel.environment import hardware_slug
from accel.errors import InvalidRequestError
from accel.identity import changes
from accel.models.checksums import checksums
from accel.runs import RunFolder

__all__ = ["check_hardware", "check_weights", "hardware_here", "is_elsewhere"]


def hardware_here(device: str | None) -> str | None:
    """What a record of a worker on `device` (as Options.device) would call its hardware.

    None if NVML does not tell the name of the GPU; the worker will.
    """
    gpu = gpus.taken_by(device)
    if gpu is None:
        return "cpu"
    name = gpus.name_of(gpu)
    return name and hardware_slug(name)


def check_hardware(folder: RunFolder, records: Iterable[Record], hardware: str | None) -> None:
    """Raises InvalidRequestError for a record of other hardware than this; None: not known."""
    other = {record.hardware for record in records} - {hardware}
    if other and hardware:
        device = "cpu" if "cpu" in other else "cuda"
        instead = f", or --device {device}" if "cpu" in (hardware, *other) else ""
        raise InvalidRequestError(
            f"{folder.path} was measured on {', '.join(sorted(other))}; choose another --out for "
            f"{hardware}{instead}"
        )


def check_weights(folder: RunFolder, case: Case, found: Record) -> None:
    """Raises InvalidRequestError if the case's files hold other weights than were measured.

    Those of the hub are not read for that, as their revision is pinned. Errors as `checksums`.
    """
    then = found.fingerprint.get("weights")
    if then is None or (case.weights == "pretrained" and case.path is None):
        return
    if other := ", ".join(changes(then, checksums(case))):
        raise InvalidRequestError(
            f"{folder.path} was measured with other weights: {other}; choose another folder"
        )


def is_elsewhere(found: Record, run: Mapping[str, Any], gpu: str | None) -> bool:
    """Whether a record is of another machine, of another boot of it, or of another GPU.

    run: as accel.environment.run_identity tells it.
    """
    return (found.run.get("boot"), found.run.get("gpu")) != (run.get("boot"), gpu)
