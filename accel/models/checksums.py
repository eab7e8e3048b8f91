"""What tells the weights of a case: the checksums of the files that they are read from.

Each file is read whole, once for each process: a sample would miss what a fine-tuning left alone
elsewhere, and a header says nothing of the values. The 4.5 GB of a full-size pipeline take some
seconds, beside minutes of measuring and outside of what is measured.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path

from accel.core import Case
from accel.errors import MissingWeightsError

__all__ = ["checksums"]

WRITERS = ("_diffusers_version", "_name_or_path", "transformers_version")
"""Of a configuration: who wrote it and where from, which changes no weights."""


def checksums(case: Case) -> dict[str, str]:
    """sha256 of each file of weights that the case takes, by name; none of untrained ones.

    A configuration's is that of what it says; any other file's is what sha256sum tells of it, and
    the hub shows. Raises MissingWeightsError for a file that cannot be read, or as
    `sources.pretrained_folder`.
    """
    from accel.models.sources import weight_files

    files = weight_files(case) | case.method.weight_files(case.weights)
    return {name: _checksum(path) for name, path in sorted(files.items())}


def _checksum(path: Path) -> str:
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise MissingWeightsError(f"{path} cannot be read: {error}; put it there again") from error


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Of the file as it is while its size and its time of change (ns) are these."""
    if path.suffix == ".json":
        form = json.loads(path.read_bytes())
        said = {key: value for key, value in form.items() if key not in WRITERS}
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
