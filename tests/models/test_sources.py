import json
import shutil

import pytest
import torch
from huggingface_hub import errors as hub_errors

from accel.core import Case
from accel.errors import IntegrityError, InvalidRequestError, MissingWeightsError
from accel.methods.reference import Reference
from accel.models import MODELS, default_request, sources
from tests.tiny import save_tiny


def case_at(folder, **changes):
    request = default_request("svd", "mini", frames=5, steps=2, **changes)
    return Case("svd", "pretrained", request, Reference(), str(folder))


def test_the_untrained_unet_is_the_full_size_one():
    with torch.device("meta"):
        unet = sources.untrained_unet()
    assert sum(p.numel() for p in unet.parameters()) == 1_524_623_082


def test_another_full_size_unet_is_refused(monkeypatch):
    monkeypatch.setitem(sources.UNET, "num_attention_heads", (5, 10, 10, 20))
    monkeypatch.setitem(sources.UNET, "layers_per_block", 1)
    with torch.device("meta"), pytest.raises(IntegrityError, match="not 1,524,623,082"):
        sources.untrained_unet()


@pytest.mark.parametrize(("variant", "shard"), [("fp16", "200KB"), ("fp16", "10GB"), (None, "1MB")])
def test_any_full_layout_folder_loads(tmp_path, variant, shard):
    pipeline = sources.load(case_at(save_tiny(tmp_path / "svd", variant, shard)), "cpu")
    video = pipeline.generate(pipeline.request)
    assert video.shape == (5, 3, 128, 128)
    assert 0 <= video.min() <= video.max() <= 1


def test_a_folder_without_the_unet_is_named(tiny_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns("unet"))
    with pytest.raises(MissingWeightsError, match=r"broken is no .* lacks unet"):
        sources.load(case_at(folder), "cpu")


def test_a_folder_with_a_lost_shard_is_named(tiny_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_folder, folder)
    next(folder.glob("unet/*-00002-of-*.safetensors")).unlink()
    with pytest.raises(MissingWeightsError, match="broken cannot be loaded"):
        sources.load(case_at(folder), "cpu")


def test_a_folder_with_a_torn_config_is_named(tiny_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_folder, folder)
    (folder / "unet" / "config.json").write_text(json.dumps({})[:1])
    with pytest.raises(MissingWeightsError, match="broken cannot be loaded"):
        sources.load(case_at(folder), "cpu")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("unet/diffusion_pytorch_model.fp16.safetensors", None, "unet has no weights"),
        ("vae/diffusion_pytorch_model.fp16.safetensors", None, "vae has no weights"),
        ("image_encoder/model.fp16.safetensors", None, "image_encoder has no weights"),
        (
            "image_encoder/model.fp16.safetensors",
            "torn",
            r"model\.fp16\.safetensors cannot be read",
        ),
        ("unet/config.json", "[]", r"unet/config\.json holds a list, not an object"),
        ("image_encoder/config.json", None, r"image_encoder/config\.json is missing"),
        ("model_index.json", "{", r"model_index\.json is not JSON"),
    ],
)
def test_a_file_that_is_missing_or_broken_is_named(tmp_path, name, content, message):
    folder = tmp_path / "broken"
    shutil.copytree(sources.MINI, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(MissingWeightsError, match=f"{message}.*; copy the folder there again"):
        sources.load(case_at(folder), "cpu")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match="nowhere is no Stable Video Diffusion folder"):
        sources.load(case_at(tmp_path / "nowhere"), "cpu")


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_without_network_it_says_what_where_from_and_where_to(model, monkeypatch):
    def offline(*args, **kwargs):
        raise hub_errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(sources, "snapshot_download", offline)
    with pytest.raises(MissingWeightsError) as error:
        sources.pretrained_folder(model)
    for part in (model.hub, model.revision, "fp16.safetensors", "licence", "--path FOLDER"):
        assert part in str(error.value)


def test_a_size_that_the_unet_cannot_halve_is_named(tiny_folder):
    case = case_at(tiny_folder, width=136)
    with pytest.raises(InvalidRequestError, match=r"width 136 .* multiple of 16, .* 128 or 144"):
        sources.load(case, "cpu")
