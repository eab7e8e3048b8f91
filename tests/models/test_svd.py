"""The pipeline's edit points: another input is another picture and seed, and nothing else."""

from dataclasses import replace

import pytest
import torch

from accel.core import Request
from accel.models.svd import Pipeline
from tests.tiny import tiny_pipeline

REQUEST = Request(image="coffee", width=64, height=64, frames=2, steps=1)


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(tiny_pipeline(), REQUEST)


def generated(pipeline, image, seed):
    pipeline.take(image, seed)
    return pipeline.generate(pipeline.request)


def test_a_picture_and_a_seed_make_another_video_each(pipeline):
    first = generated(pipeline, "coffee", 0)
    assert not torch.equal(first, generated(pipeline, "rocket", 0))
    assert not torch.equal(first, generated(pipeline, "coffee", 1))
    assert torch.equal(first, generated(pipeline, "coffee", 0)), "nothing stays of the others"


def test_taking_an_input_is_loading_it(pipeline):
    fresh = Pipeline(tiny_pipeline(), replace(REQUEST, image="rocket", seed=3))
    assert torch.equal(generated(pipeline, "rocket", 3), fresh.generate(fresh.request))


def test_what_a_method_asked_for_stays(pipeline):
    pipeline.request = replace(pipeline.request, steps=2, frames=3, fps=2)
    assert generated(pipeline, "rocket", 1).shape == (3, 3, 64, 64)
    assert pipeline.request == replace(REQUEST, image="rocket", seed=1, steps=2, frames=3, fps=2)
