"""What two methods make of a video together, beside what each makes of it alone.

On mini: 7 frames of 64x64 in 8 steps, one photograph, one order of each pair that can go together.
Half the size that mini was trained at, so that the numbers compare with each other alone. A pair
may be as far from M0 as its parts' own distances explain:

- LPIPS is a squared distance of features. Two changes of sizes a and b that point the same way add
  up to (sqrt(a) + sqrt(b))^2 there, and to less in any other direction.
- tOF is a mean length of differences, so that a + b is the most.
- CLIP, tSSIM, tLPIPS and the logarithm of the motion amount are numbers of one video and know no
  triangle: twice the sum, as of two equal squared distances.

On top of it comes what one part does to a video that the other has changed: for LPIPS a tenth of
what a faithful method may be off, for tOF a tenth of a pixel, for the others gate 0's own margin.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from itertools import combinations, permutations
from math import log, sqrt

import pytest

from accel.chain import Chain
from accel.core import Case, Method
from accel.limits import GATE_ZERO, MOTION, MOTION_RATIO, NEAR
from accel.methods import METHODS, parse
from accel.metrics import METRICS, Array
from accel.metrics.sanity import defect
from accel.models import default_request
from accel.models.images import image_array
from accel.models.sources import load
from accel.models.svd import Pipeline
from tests.methods.test_pairs import REFUSED, UNGUIDED

SIDE = 64
PARTS = {
    "int8_weight_only": "int8_weight_only",
    "fewer_steps": "fewer_steps:5",
    "distilled": "distilled",
    "sampler": "sampler:ays,4",
    "guidance_interval": "guidance_interval",
    "semi_structured": "semi_structured",
    "keyframes": "keyframes:4",
    "lcm": "lcm:4",
    "tiny_vae": "tiny_vae",
}
"""Method -> its configuration. torch_compile is held to the uncompiled video, in test_pairs."""

JUDGED = ("lpips", "tof", *GATE_ZERO, "motion_amount", "motion_class")
"""What the gates judge, and tOF; the other metrics of a video take as long again."""

Scores = Mapping[str, float | str]
Measured = Callable[..., Scores]


def pairs() -> list[tuple[str, str]]:
    """One order of each two methods that can go together."""
    refused = {*REFUSED, UNGUIDED}
    orders = (
        [o for o in permutations(pair) if o not in refused] for pair in combinations(PARTS, 2)
    )
    return [found[0] for found in orders if found]


@pytest.fixture(scope="module")
def measured() -> Measured:
    """`measured(*methods)`: the scores of their video beside M0's, each made once; () is M0."""
    request = default_request("svd", "mini", frames=7, steps=8, width=SIDE, height=SIDE)
    pipeline = load(Case("svd", "mini", request, parse("reference")), "cpu")
    image = image_array(request.image, SIDE, SIDE)
    unedited = (pipeline.diffusers.image_encoder, pipeline.diffusers.vae.encoder)

    def frames(edited: Pipeline) -> Array:
        return edited.generate(edited.request).permute(0, 2, 3, 1).float().numpy()

    reference = frames(pipeline)

    @cache
    def scores(*methods: Method) -> Scores:
        edited = deepcopy(pipeline, {id(part): part for part in unedited})
        for method in methods:
            method.apply(edited)
        return told(frames(edited) if methods else reference, image, reference)

    return scores


def told(video: Array, image: Array, reference: Array) -> Scores:
    """Sanity, and the JUDGED metrics of a video that is finite."""
    sanity = str(defect(video, reference) or "ok")
    beside = {"video": (), "image": (image,), "reference": (reference,)}
    judged = [METRICS[name] for name in JUDGED if not sanity.startswith("nan")]
    return {"sanity": sanity} | {m.name: m.function()(video, *beside[m.needs]) for m in judged}


def distances(found: Scores, reference: Scores) -> dict[str, float]:
    """How far from M0's video, by each metric that tells; 0 is M0's own."""
    return {
        "lpips": found["lpips"],
        "tof": found["tof"],
        **{metric: abs(found[metric] - reference[metric]) for metric in GATE_ZERO},
        "motion_amount": abs(log(found["motion_amount"] / reference["motion_amount"])),
    }


def bounds(first: dict[str, float], second: dict[str, float], loose: bool) -> dict[str, float]:
    """How far the pair may be whose parts are so far alone; loose: if it is a new sample."""
    margins = {metric: both[loose] for metric, both in GATE_ZERO.items()}
    margins["motion_amount"] = log(MOTION_RATIO[loose][1])
    return {
        "lpips": (sqrt(first["lpips"]) + sqrt(second["lpips"])) ** 2 + NEAR.at_most / 10,
        "tof": first["tof"] + second["tof"] + 0.1,
        **{name: 2 * (first[name] + second[name]) + more for name, more in margins.items()},
    }


def excess(measured: Measured, pair: Chain, parts: tuple[Method, ...]) -> dict[str, str]:
    """What `parts` do not explain of the pair's distances: metric -> distance and bound."""
    reference = measured()
    *alone, joint = (distances(measured(*m), reference) for m in (*zip(parts), pair.methods))
    most = bounds(*alone, loose=pair.fidelity == "new_sample")
    return {k: f"{joint[k]:.4f} > {most[k]:.4f}" for k in joint if joint[k] > most[k]}


def show(name: str, scores: Scores) -> Scores:
    """The scores; `pytest -rP` prints them, and so does a failure."""
    shown = (f"{k} {v}" if isinstance(v, str) else f"{k} {v:.3f}" for k, v in scores.items())
    print(name, *shown, sep=", ")
    return scores


def test_every_method_has_a_part_here() -> None:
    assert {*PARTS, "reference", "torch_compile"} == {*METHODS}


@pytest.mark.parametrize(("earlier", "later"), pairs())
def test_a_pair_takes_no_more_than_its_parts_explain(
    measured: Measured, earlier: str, later: str
) -> None:
    chain = Chain((parse(PARTS[earlier]), parse(PARTS[later])))
    reference, *_, found = (
        show(name, measured(*methods))
        for name, methods in {
            "M0": (),
            earlier: chain.methods[:1],
            later: chain.methods[1:],
            f"{earlier}+{later}": chain.methods,
        }.items()
    )
    if any(part.must_fail() for part in chain.methods):
        assert found["sanity"] != "ok" or found["lpips"] > NEAR.at_most, "a declared ruin is one"
        return
    assert found["sanity"] == "ok"
    classes = reference["motion_class"], found["motion_class"]
    assert MOTION.get(classes, "pass") == "pass", classes
    assert excess(measured, chain, chain.methods) == {}


def test_a_pair_that_takes_more_is_told(measured: Measured) -> None:
    """Two steps, where the part by itself has five."""
    worse = Chain((parse("int8_weight_only"), parse("fewer_steps:2")))
    parts = (parse(PARTS["int8_weight_only"]), parse(PARTS["fewer_steps"]))
    assert {"lpips"} <= {*excess(measured, worse, parts)}
