"""How near each method comes to the true clip, on held-out scenes, and Table 1's bounds on that.

    python -m accel.zoo.truth reference fewer_steps:4 lcm:4 semi_structured int8_weight_only

Methods are written as for `accel bench --methods`, and measured by the same bench, from the first
frame of each scene and with the same seed; the reference always is. On stdout is one JSON object a
line: the numbers of each method (accel.zoo.bounds.line), each bound that these methods allow, and
which were missed. The exit code is 1 if one was missed or a method failed. The same command with
--out measures what is missing: a method whose clips are all there is not measured again.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite, nan
from pathlib import Path

import numpy as np
from PIL import Image

from accel import metrics
from accel.arguments import folder as folder_name
from accel.cases import check_place
from accel.compare import judge_of
from accel.core import Case, Method, Record
from accel.errors import AccelError, InvalidRequestError
from accel.launch import Options
from accel.limits import GATE_ZERO
from accel.methods import parse
from accel.methods.reference import Reference
from accel.metrics.fidelity import lpips
from accel.models import default_request
from accel.runner import Bench
from accel.runs import RunFolder, default_folder
from accel.verdict import Check
from accel.zoo.bounds import MOTION, TRUTH, Found, bounds, line
from accel.zoo.held_out import Video, held_out, videos

BUCKET = 127
"""The motion bucket of all clips: the request's own default, at 7 fps."""


def scenes(n: int, frames: int, pictures: Path) -> list[Video]:
    """n held-out clips; their first frames become pictures in that folder, in the same order."""
    true = videos(held_out(n, frames, bucket=BUCKET))
    pictures.mkdir(exist_ok=True)
    for place, clip in enumerate(true):
        picture = Image.fromarray((clip[0] * 255).round().astype(np.uint8))
        picture.save(pictures / f"{place:04}.png")
    return true


def found_of(text: str, case: Case, record: Record, true: Sequence[Video], run: RunFolder) -> Found:
    """The scores of a measured case: its record's, and LPIPS of its videos to the true clips."""
    rows = [row["scores"] for row in record.samples["inputs"]]
    scores = {name: [row.get(name, nan) for row in rows] for name in (*GATE_ZERO, MOTION)}
    own = (run.frames(case, place) for place in range(len(true)))
    scores[TRUTH] = [_lpips(video, clip) for video, clip in zip(own, true, strict=True)]
    return Found(text, case.method, case.weights, scores, _video_checks(record, case.method))


def _lpips(video: Video, true: Video) -> float:
    return lpips(video, true) if np.isfinite(video).all() else nan


def _video_checks(record: Record, method: Method) -> tuple[Check, ...]:
    """What the gate says of the videos beside the reference's; there is no baseline of these."""
    checks = judge_of(record, method, None).checks
    about = [check for check in checks if check.family in ("quality", "collapse")]
    return tuple(check for check in about if check.metric != "baseline")


def cases_of(options: argparse.Namespace, pictures: Path) -> dict[Case, str]:
    """The reference's case and one for each method, with its text.

    Raises InvalidRequestError, MissingWeightsError or UnknownNameError for what cannot be measured.
    """
    options.weights = "mini" if options.path is None else "pretrained"
    check_place(options)
    changes = {name: getattr(options, name) for name in ("frames", "steps", "seed")}
    size = {"width": 128, "height": 128}
    request = default_request("svd", options.weights, image=str(pictures), **size, **changes)
    methods = {Reference(): "reference", **{parse(text): text for text in options.methods}}
    return {
        Case("svd", options.weights, request, method, options.path): text
        for method, text in methods.items()
    }


def measure(options: argparse.Namespace) -> int:
    """Measure, print, and return the exit code. Raises what cannot be measured at all."""
    if options.clips < 2:
        raise InvalidRequestError(f"--clips is {options.clips}; a spread needs at least 2")
    out = options.out or default_folder("svd.truth")
    pictures = out / f"held_out_{options.clips}x{options.frames}"
    cases = cases_of(options, pictures)
    run = RunFolder(out)
    _progress(f"run folder: {run.path}")
    true = scenes(options.clips, options.frames, pictures)
    metrics.fingerprint()  # loads the networks: missing ones stop here
    with Bench(run, Options(pairs=1, device=options.device, timed=False), _progress) as bench:
        bench.run([*cases])
    failures = {text: run.failures()[c.id] for c, text in cases.items() if not run.record(c)}
    found = [
        found_of(text, case, record, true, run)
        for case, text in cases.items()
        if (record := run.record(case))
    ]
    return tell(found, failures)


def tell(found: Sequence[Found], failures: Mapping[str, str]) -> int:
    """Print methods, bounds, and what was missed; 1 if anything was, or a method failed.

    failures: error by method. Without the reference, which comes first, nothing is judged.
    """
    for method, error in failures.items():
        _print({"method": method, "error": error})
    judged = [] if "reference" in failures else found
    for own in judged:
        _print(line(own, judged))
    asked = bounds(judged)
    for bound in asked:
        _print(asdict(bound))
    missed = [bound.bound for bound in asked if not bound.holds]
    _print({"missed": missed, "failed": [*failures]})
    return 1 if missed or failures else 0


def _print(numbers: dict[str, object]) -> None:
    print(json.dumps(_plain(numbers), allow_nan=False), flush=True)


def _plain(value: object) -> object:
    """Four digits after the point; None for what is not finite, which JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, tuple):
        return [_plain(own) for own in value]
    if not isinstance(value, float):
        return value
    return round(value, 4) if isfinite(value) else None


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure methods against the true clips.")
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="as of `accel bench`")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--frames", type=int, default=14)
    parser.add_argument("--steps", type=int, default=25, help="of the reference")
    parser.add_argument("--seed", type=int, default=0, help="of every clip's noise")
    parser.add_argument("--path", help="folder of other weights in the diffusers layout")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument(
        "--out",
        type=folder_name,
        help="run folder; one that exists is resumed (default: a new one below runs/)",
    )
    try:
        return measure(parser.parse_args(words))
    except AccelError as error:
        print(f"accel: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
