"""The arguments of a small run on the tiny pipeline, and where its records lie."""

from dataclasses import replace
from pathlib import Path

from accel.baselines import read, write_file

CASE = "fewer_steps-2@128x128x7-s3"
REFERENCE = "reference@128x128x7-s3"
GROUP = "svd.pretrained"
COMMIT = {"commit": "c" * 40, "dirty": False}


def asked(tiny: Path, out: Path, *more: object, command: str = "bench") -> list[str]:
    """Arguments of a small run on a CPU; later ones of the same name win."""
    request = ["--size", "128x128", "--frames", "7", "--steps", "3", "--pairs", "1"]
    where = ["--weights", "pretrained", "--path", tiny, "--device", "cpu", "--out", out]
    rest = ["--baselines", out.parent / "baselines", "--methods", "fewer_steps:2"]
    return [str(word) for word in (command, "svd", *where, *request, *rest, *more)]


def record_path(run: Path, case: str = CASE) -> Path:
    return run / "records" / GROUP / f"{case}.json"


def committed(run: Path) -> Path:
    """The run, as if the tree had been clean, in whatever state it is while the tests run."""
    for path in run.rglob("records/*/*.json"):
        found = read(path)
        write_file(replace(found, fingerprint={**found.fingerprint, "git": COMMIT}), path)
    return run
