"""Every ordered pair of registered methods: both engage, or the pair is refused with a reason.

The pairs come from METHODS by way of the contract's configurations, so that a new method is paired
with all others. Compiling takes seconds where all else takes tenths of one: it goes with the first
configuration of each method, the others with every one; its video is the uncompiled one. What two
other methods make of the quality together is in test_pair_quality.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import combinations, permutations, product
from pathlib import Path

import pytest
import torch

from accel.chain import Chain
from accel.core import Method
from accel.errors import InvalidRequestError, NotSupportedError
from accel.measure import base_counters
from accel.methods import METHODS, modules_of
from accel.models.sources import load
from accel.models.svd import Pipeline
from accel.worker import Session
from tests.methods.test_contract import CONFIGURED, fewest, tiny_case

SIZE = {"width": 32, "height": 32}
FIRST = {name.split()[0]: name for name in reversed(CONFIGURED)}
"""Method -> the name of its first configuration."""

SETS_STEPS = ("fewer_steps", "sampler", "lcm")
STUDENTS = ("distilled", "lcm")
WEIGHT_FORMATS = ("int8_weight_only", "semi_structured")
REFUSED = {
    *permutations(SETS_STEPS, 2),
    *permutations(STUDENTS, 2),
    *permutations(WEIGHT_FORMATS, 2),
    *product(WEIGHT_FORMATS, STUDENTS),
    *product(["guidance_interval"], SETS_STEPS),
    *product(["torch_compile"], METHODS),
    *product(["reference"], METHODS),
    *product(METHODS, ["reference"]),
    *zip(METHODS, METHODS, strict=True),
}
"""(earlier, later) methods that must be refused; all others must run."""

UNGUIDED = ("lcm", "guidance_interval")
"""Configurations: without guidance there is no step to leave it out of."""


TUNED = "semi_structured tuned"
"""The configuration whose weights belong to M0's UNet, and to no student's."""


def pairs() -> list[tuple[str, str]]:
    """Ordered pairs of configurations, compilation with the first one of each method."""
    everything = product(CONFIGURED, repeat=2)
    firsts = set(FIRST.values())
    return [pair for pair in everything if "torch_compile" not in pair or set(pair) <= firsts]


def triples() -> list[tuple[str, ...]]:
    """Ordered triples of methods whose pairs all run; few, but every such pair is in one."""

    def runs(*names: str) -> bool:
        return not any(pair in REFUSED or pair == UNGUIDED for pair in combinations(names, 2))

    def missing(triple: tuple[str, ...]) -> int:
        return len(left & {frozenset(pair) for pair in combinations(triple, 2)})

    found, fitting = [], [names for names in permutations(METHODS, 3) if runs(*names)]
    left = {frozenset(pair) for names in fitting for pair in combinations(names, 2)}
    while left:
        found.append(max(fitting, key=missing))
        left -= {frozenset(pair) for pair in combinations(found[-1], 2)}
    return found


def methods_of(*configurations: str) -> tuple[str, ...]:
    return tuple(name.split()[0] for name in configurations)


@pytest.fixture(scope="module")
def loaded(shallow_folder: Path) -> Pipeline:
    """Loaded once; every pair edits a copy."""
    return load(tiny_case(shallow_folder, "reference", **SIZE), "cpu")


@pytest.fixture
def session(loaded: Pipeline) -> Iterator[Session]:
    """A worker's session with a fresh pipeline, in a compiler that has compiled nothing."""
    session = Session("cpu")
    session.pipeline = deepcopy(loaded)
    yield session
    torch._dynamo.reset()


def configured(shallow_folder: Path, name: str) -> Method:
    compiled = name == "torch_compile"
    text = "torch_compile:backend=aot_eager" if compiled else CONFIGURED[name]
    return tiny_case(shallow_folder, text).method


def check_engaged(session: Session, chain: Chain, plain: Pipeline) -> torch.Tensor:
    """Each part shows in a counter of its own, as it was foretold, and the video, which it
    returns, is sound."""
    expected = session.apply(repr(chain), modules_of(chain))["expected"]
    base = base_counters(plain)
    for part in chain.methods:
        assert any(expected[name] != base.get(name, 0) for name in part.expected(plain)), part
    session.warm()
    _, video = session.probe.generate()
    assert session.probe.counters() == expected
    assert video.shape == (7, 3, 32, 32)
    assert video.isfinite().all()
    return video


def check_alike(compiled: torch.Tensor, method: Method, plain: Pipeline) -> None:
    """The compiled video is the uncompiled one, up to rounding: 80 dB, however random the UNet."""
    pipeline = deepcopy(plain)
    method.apply(pipeline)
    error = (compiled - pipeline.generate(pipeline.request)).square().mean()
    assert error < 1e-8


def test_every_pair_of_methods_is_met() -> None:
    assert {methods_of(*pair) for pair in pairs()} == set(product(METHODS, repeat=2))


@pytest.mark.parametrize(("earlier", "later"), pairs())
def test_a_pair_engages_or_says_why_not(
    session: Session, loaded: Pipeline, shallow_folder: Path, earlier: str, later: str
) -> None:
    refusal = ""
    steps = max(fewest(earlier), fewest(later))
    session.pipeline.request = replace(loaded.request, steps=steps)
    try:
        chain = Chain((configured(shallow_folder, earlier), configured(shallow_folder, later)))
        video = check_engaged(session, chain, loaded)
        if later == "torch_compile":
            check_alike(video, chain.methods[0], loaded)
    except (InvalidRequestError, NotSupportedError) as error:
        refusal = str(error)
        assert len(refusal.split()) > 5, "a refusal gives its reason"
    names = methods_of(earlier, later)
    must_refuse = names in REFUSED or (earlier, later) == UNGUIDED
    must_refuse |= later == TUNED and names[0] in STUDENTS
    assert bool(refusal) == must_refuse, refusal or "it ran"


@pytest.mark.parametrize("names", triples(), ids="+".join)
def test_a_triple_of_fitting_pairs_engages(
    session: Session, loaded: Pipeline, shallow_folder: Path, names: tuple[str, ...]
) -> None:
    steps = max(fewest(FIRST[name]) for name in names)
    session.pipeline.request = replace(loaded.request, steps=steps)
    chain = Chain(tuple(configured(shallow_folder, FIRST[name]) for name in names))
    check_engaged(session, chain, loaded)


def test_a_triple_with_a_pair_that_does_not_fit_is_refused(shallow_folder: Path) -> None:
    parts = [configured(shallow_folder, FIRST[name]) for name in ("lcm", "keyframes", "sampler")]
    with pytest.raises(InvalidRequestError, match="lcm and sampler"):
        Chain(tuple(parts))


def test_inductor_compiles_a_pair(session: Session, loaded: Pipeline, shallow_folder: Path) -> None:
    """A minute or two of C++ compilation, 13 s with inductor's cache: for one pair only."""
    chain = tiny_case(shallow_folder, "int8_weight_only+torch_compile:default").method
    assert isinstance(chain, Chain)
    check_engaged(session, chain, loaded)
