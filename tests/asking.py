"""The arguments of a small run on the tiny pipeline, and where its records lie."""

from pathlib import Path

CASE = "fewer_steps-2@128x128x7-s3"
REFERENCE = "reference@128x128x7-s3"
GROUP = "svd.pretrained"


def asked(tiny: Path, out: Path, *more: object, command: str = "bench") -> list[str]:
    """Arguments of a small run on a CPU; later ones of the same name win."""
    request = ["--size", "128x128", "--frames", "7", "--steps", "3", "--pairs", "1"]
    where = ["--weights", "pretrained", "--path", tiny, "--device", "cpu", "--out", out]
    rest = ["--baselines", out.parent / "baselines", "--methods", "fewer_steps:2"]
    return [str(word) for word in (command, "svd", *where, *request, *rest, *more)]


def record_path(run: Path, case: str = CASE) -> Path:
    return run / "records" / GROUP / f"{case}.json"
