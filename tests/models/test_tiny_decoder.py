"""The tiny decoder against TAESDV's file layout, and against a decoder of one frame at a time."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from accel.errors import IntegrityError, MissingWeightsError
from accel.models.tiny_decoder import TinyDecoder, load

FACTOR = 0.18215
SEQUENCE = (
    "conv 4", "relu", "memory", "memory", "memory", "up", "sharpen", "memory", "memory", "memory",
    "up", "sharpen", "memory", "memory", "memory", "up", "sharpen", "memory", "conv 64",
)  # fmt: skip
"""TAESDV's decoder from decoder.1 to decoder.19."""

ENCODER = ("", "b", "down", "b", "b", "b", "down", "b", "b", "b", "down", "b", "b", "b", "")
"""TAESDV's encoder from encoder.0 to encoder.14."""


def shapes():
    """Every tensor of taesdv.pth, by name."""
    found = {}

    def convolution(name, outputs, inputs, bias=True):
        found[f"{name}.weight"] = (outputs, inputs, 3, 3)
        if bias:
            found[f"{name}.bias"] = (outputs,)

    for i, kind in enumerate(ENCODER):
        if kind == "b":
            for j in (0, 2, 4):
                convolution(f"encoder.{i}.conv.{j}", 64, 64)
        else:
            ends = (64, 3) if i == 0 else (4, 64) if i == 14 else (64, 64)
            convolution(f"encoder.{i}", *ends, bias=kind != "down")
    for i, kind in enumerate(SEQUENCE, 1):
        if kind == "memory":
            for j, inputs in ((0, 128), (2, 64), (4, 64)):
                convolution(f"decoder.{i}.conv.{j}", 64, inputs)
        elif kind in ("conv 4", "conv 64", "sharpen"):
            ends = (64, 4) if i == 1 else (3, 64) if i == 19 else (64, 64)
            convolution(f"decoder.{i}", *ends, bias=kind != "sharpen")
    return found


@pytest.fixture(scope="module")
def tensors():
    """A file of TAESDV's names and shapes, its values seeded and small enough to stay finite."""
    dice = torch.Generator().manual_seed(0)
    return {name: 0.05 * torch.randn(shape, generator=dice) for name, shape in shapes().items()}


@pytest.fixture(params=["taesdv.pth", "taesdv.safetensors"])
def file(request, tensors, tmp_path):
    return saved(tensors, tmp_path / request.param)


def saved(tensors, path):
    torch.save(tensors, path) if path.suffix == ".pth" else save_file(tensors, path)
    return path


def frame_by_frame(tensors, latents):
    """Scaled latents [T, 4, h, w] to frames in about [0, 1]: the memory is handed on."""
    memory, frames = {}, []

    def convolution(name, x):
        return F.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), padding=1)

    for latent in latents:
        x = 3 * torch.tanh(latent[None] / 3)
        for i, kind in enumerate(SEQUENCE, 1):
            if kind == "memory":
                y = torch.cat([x, memory.get(i, torch.zeros_like(x))], 1)
                memory[i] = x
                for j in (0, 2, 4):
                    y = convolution(f"decoder.{i}.conv.{j}", y.relu() if j else y)
                x = (y + x).relu()
            elif kind == "up":
                x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
            else:
                x = x.relu() if kind == "relu" else convolution(f"decoder.{i}", x)
        frames.append(x)
    return torch.cat(frames)


def test_a_file_of_taesdvs_layout_decodes_as_frame_by_frame(tensors, file):
    decoder = load(file, 4, FACTOR)
    assert decoder.state_dict().keys() == {n for n in tensors if n.startswith("decoder.")}
    assert sum(p.numel() for p in decoder.parameters()) == 1_591_171
    torch.manual_seed(0)
    latents = 2 * torch.randn(4, 4, 3, 5)
    with torch.no_grad():
        found = decoder(latents / FACTOR, torch.zeros(1, 4), num_frames=4)
        pair = decoder(latents / FACTOR, torch.zeros(2, 2), num_frames=2)
    expected = 2 * frame_by_frame(tensors, latents) - 1
    assert found.shape == (4, 3, 24, 40)
    assert torch.allclose(found, expected, atol=1e-4)
    assert torch.allclose(pair[:2], expected[:2], atol=1e-4)
    alone = 2 * frame_by_frame(tensors, latents[2:]) - 1
    assert torch.allclose(pair[2:], alone, atol=1e-4)
    assert (alone - expected[2:]).abs().max() > 1e-3, "the frame before makes a difference"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda x: x.pop("decoder.3.conv.2.bias"), "Missing .*decoder.3.conv.2.bias"),
        (lambda x: x.update(extra=torch.zeros(1)), "Unexpected .*extra"),
        (lambda x: x.update({"decoder.7.weight": torch.zeros(64, 64, 1, 1)}), "decoder.7.weight"),
        (lambda x: x.update({"decoder.1.weight": torch.zeros(64, 16, 3, 3)}), "of 16 channels"),
        (
            lambda x: [x.pop(n) for n in list(x) if n[0] == "d"],
            "holds no tiny decoder, but nothing",
        ),
        (lambda x: x.pop("decoder.1.weight"), "no tiny decoder, but decoder.1.bias"),
    ],
    ids=[
        "missing",
        "unknown",
        "of another shape",
        "another latent",
        "no decoder",
        "no first layer",
    ],
)
def test_a_file_of_something_else_is_refused(tensors, tmp_path, spoil, named):
    spoil(spoilt := dict(tensors))
    with pytest.raises(IntegrityError, match=named) as error:
        load(saved(spoilt, tmp_path / "taesdv.pth"), 4, FACTOR)
    assert "github.com/madebyollin/taesdv" in str(error.value)


class Planted:
    """Nothing that weights hold: unpickling it would run code."""


@pytest.mark.parametrize("name", ["torn.pth", "torn.safetensors", "foreign.pth", "list.pth"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    path = tmp_path / name
    if name.startswith("torn"):
        path.write_bytes(b"\0\1\2")
    else:
        torch.save(Planted() if name.startswith("foreign") else [torch.zeros(1)], path)
    with pytest.raises(IntegrityError, match=name):
        load(path, 4, FACTOR)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pth; get taesdv\.pth from"):
        load(tmp_path / "nowhere.pth", 4, FACTOR)


def test_a_narrow_one_is_read_at_its_own_width(tmp_path):
    narrow = TinyDecoder(8, 4, FACTOR)
    found = load(saved(narrow.half().state_dict(), tmp_path / "narrow.safetensors"), 4, FACTOR)
    assert found.decoder[1].weight.shape == (8, 4, 3, 3)
    assert {p.dtype for p in found.parameters()} == {torch.float32}
