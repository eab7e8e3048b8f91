"""What is in use, and what a generation leaves behind."""

import sys
from types import SimpleNamespace

import pytest
import torch

from accel.core import Case
from accel.measure import Probe
from accel.memory import in_use
from accel.methods.reference import Reference
from accel.models import default_request
from accel.models.sources import load
from accel.prove.costs import LEAK, MIB, Leaking

CPU = torch.device("cpu")


@pytest.fixture
def pipeline(tiny_folder):
    request = default_request("svd", "mini", frames=4, steps=2)
    return load(Case("svd", "pretrained", request, Reference(), str(tiny_folder)), "cpu")


def grown(pipeline, count=3):
    """MiB after each of some generations."""
    probe = Probe(pipeline)
    probe.warm()
    found = []
    for _ in range(count):
        probe.generate()
        found.append(probe.grown())
    return found


@pytest.mark.parametrize(
    ("config", "counted", "misses"),
    [
        ({}, {"fxgraph_cache_miss": 2, "fxgraph_cache_hit": 5}, 2),
        ({}, {"fxgraph_cache_miss": 2, "fxgraph_cache_bypass": 1}, 3),
        ({"force_disable_caches": True}, {}, 4),
        ({"fx_graph_cache": False}, {}, 4),
    ],
)
def test_a_graph_that_no_cache_could_give_is_a_miss(pipeline, monkeypatch, config, counted, misses):
    probe = Probe(pipeline)
    probe.misses_before = 0  # whatever was compiled in this process before
    settings = {"force_disable_caches": False, "fx_graph_cache": True, **config}
    monkeypatch.setitem(sys.modules, "torch._inductor.config", SimpleNamespace(**settings))
    counts = {"inductor": counted, "stats": {"unique_graphs": probe.graphs_before + 4}}
    monkeypatch.setattr("accel.measure._compiler_counts", lambda kind: counts[kind])
    assert probe.cache_misses() == misses


def test_in_use_is_what_is_held():
    before = in_use(CPU)
    block = torch.ones(64 * MIB, dtype=torch.uint8)
    assert in_use(CPU) - before == pytest.approx(64, abs=0.5)
    del block
    assert in_use(CPU) - before == pytest.approx(0, abs=0.5)


def test_a_healthy_generation_leaves_nothing(pipeline):
    assert min(grown(pipeline)) == pytest.approx(0, abs=0.5)


def test_a_leak_grows_with_each_generation(pipeline):
    Leaking().apply(pipeline)
    assert grown(pipeline) == pytest.approx([LEAK / MIB] * 3, abs=0.5)
