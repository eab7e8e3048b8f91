"""CLIP similarity against open_clip's own preprocessing and cosine."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from accel.errors import MissingWeightsError, UnknownNameError
from accel.metrics import Array
from accel.metrics.clip import MINI, clip, embeddings, fingerprint, load
from accel.metrics.lpips_net import state_sha256


def _pictures() -> Array:
    """[4, 96, 160, 3] pictures of different colour and layout, in steps of 8 bits."""
    rows, columns = np.mgrid[:96, :160].astype(np.float32)
    waves = [np.sin(rows / (3 + k) + k) * np.cos(columns / (9 - k)) for k in range(4)]
    tints = np.array([[1, 0.2, 0.1], [0.1, 1, 0.3], [0.2, 0.1, 1], [0.9, 0.9, 0.9]], np.float32)
    pairs = zip(waves, tints, strict=True)
    frames = np.stack([(wave[..., None] / 2 + 0.5) * tint for wave, tint in pairs])
    return (np.rint(frames * 255) / 255).astype(np.float32)


def test_the_cosine_is_open_clips_own(tiny_clip: str) -> None:
    frames = _pictures()
    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{tiny_clip}")
    pictures = [Image.fromarray(np.rint(frame * 255).astype(np.uint8)) for frame in frames]
    with torch.inference_mode():
        encoded = model.encode_image(torch.stack([prepare(picture) for picture in pictures]))
    cosines = F.cosine_similarity(encoded, encoded[:1])
    # Pillow rounds the resized picture to 8 bits, hence the tolerance.
    assert clip(frames, frames[0], tiny_clip) == pytest.approx(float(cosines.mean()), abs=1e-3)
    assert float(cosines[1:].max()) < 0.98


def test_a_still_of_the_image_scores_one(tiny_clip: str) -> None:
    frames = _pictures()[:1].repeat(3, axis=0)
    assert clip(frames, frames[0], tiny_clip) == pytest.approx(1, abs=1e-6)


def test_the_whole_frame_counts(tiny_clip: str) -> None:
    """A change at the left edge of a wide frame, which a centre crop would not see."""
    image = _pictures()[0]
    changed = image.copy()
    changed[:, :24] = 1 - changed[:, :24]
    assert clip(changed[None], image, tiny_clip) < 0.9999


def test_image_and_frames_may_differ_in_size(tiny_clip: str) -> None:
    frames = _pictures()
    image = frames[0].repeat(2, axis=0).repeat(2, axis=1)
    assert clip(frames[:1], image, tiny_clip) == pytest.approx(1, abs=0.01)


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch(tiny_clip: str) -> None:
    frames = np.tile(_pictures(), (5, 1, 1, 1))
    found = embeddings(load(tiny_clip), frames)
    assert found.shape == (20, 32)
    assert torch.allclose(found.norm(dim=1), torch.ones(20))
    assert torch.allclose(found[:4], found[16:], atol=1e-5)


def test_weights_from_a_file(tiny_clip: str, tmp_path: Path) -> None:
    folder = Path(tiny_clip)
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "accel-test-tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    weights = folder / "open_clip_model.safetensors"
    found = load(f"accel-test-tiny:{weights}")
    assert state_sha256(found) == fingerprint(tiny_clip)["weights"]
    assert not found.training


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"nowhere\.safetensors' are not a file"):
        load(f"ViT-B-32:{tmp_path}/nowhere.safetensors")


def test_without_a_network_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to download weights for tag 'openai': no route to host")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(MissingWeightsError, match=r"no route.*ViT-B-32:/path/to/file"):
        load("ViT-B-32:openai")


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("minni", "did you mean 'mini'"),
        ("ViT-B-33:openai", "unknown CLIP model 'ViT-B-33'; did you mean 'ViT-B-32'"),
        ("ViT-B-32:laion2b_s34b_b79", "did you mean 'laion2b_s34b_b79k'"),
        ("ViT-B-32", "names no weights; write ViT-B-32:TAG"),
    ],
)
def test_unknown_names_get_the_nearest_one(model: str, named: str) -> None:
    with pytest.raises(UnknownNameError, match=named):
        load(model)


@pytest.mark.parametrize("kept", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_half_a_folder_is_refused(tiny_clip: str, tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).write_bytes((Path(tiny_clip) / kept).read_bytes())
    with pytest.raises(MissingWeightsError, match="has no open_clip"):
        load(str(tmp_path))


def test_loading_leaves_the_random_state_alone(tiny_clip: str) -> None:
    before = torch.random.get_rng_state()
    load.__wrapped__(tiny_clip)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_fingerprint_follows_the_weights(tiny_clip: str) -> None:
    found = fingerprint(tiny_clip)
    assert found["size"] == "64x64"
    other = load.__wrapped__(tiny_clip)
    assert found["weights"] == fingerprint(tiny_clip)["weights"]
    assert not any(parameter.requires_grad for parameter in other.parameters())


def test_the_mini_model_ships_and_sees_a_difference() -> None:
    assert MINI.is_dir(), f"the mini CLIP is missing: {MINI}"
    frames = _pictures()
    assert clip(frames[:1], frames[0]) == pytest.approx(1, abs=1e-6)
    assert clip(frames[1:], frames[0]) < 0.99
