"""Each training command runs, resumes, and the assembled folder is a working pipeline."""

import copy
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from accel.errors import IntegrityError, InvalidRequestError, MissingWeightsError
from accel.models import students, tiny_decoder, two_of_four
from accel.models.tuned import MINI
from accel.zoo import (
    samples,
    train_clip,
    train_lcm,
    train_sparse,
    train_tiny_vae,
    train_unet,
    train_vae,
)
from accel.zoo.clip import load_clip
from accel.zoo.training import WEIGHTS, Plan, Training, learning_rate, parse

COMMANDS = {
    "clip": train_clip,
    "vae": train_vae,
    "tiny_vae": train_tiny_vae,
    "unet": train_unet,
    "lcm": train_lcm,
    "sparse": train_sparse,
}


def train(name: str, folder: Path, steps: int, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    options = [*f"--steps {steps} --batch 2 --device cpu --no-compile".split(), *more]
    paths = ["--out", str(folder / "weights"), "--state", str(folder / "state")]
    monkeypatch.setattr(sys, "argv", [name, *options, *paths])
    COMMANDS[name].main()


def test_train_resume_assemble_and_generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(train_vae, "CLIP_FRAMES", 2)
    monkeypatch.setattr(train_tiny_vae, "CHUNK_FRAMES", 4)
    monkeypatch.setattr(train_tiny_vae, "HELD_OUT", 1)
    monkeypatch.setattr(train_clip, "HELD_OUT", 8)
    monkeypatch.setattr(train_unet, "LENGTHS", {3: 0.5, 2: 0.5})
    monkeypatch.setattr(train_unet, "COMPILED", 3)
    monkeypatch.setattr(train_sparse, "COMPILED", 3)
    monkeypatch.setattr(train_sparse, "CALLS", 2)
    monkeypatch.setattr(samples, "CLIPS", 1)
    monkeypatch.setattr(samples, "SHOWN", (0, 1))
    for name in COMMANDS:
        train(name, tmp_path, 2, monkeypatch)
        train(name, tmp_path, 3, monkeypatch)
        assert f"{name}: resumed at step 2" in capsys.readouterr().out
        log = (tmp_path / f"state/{name}.jsonl").read_text()
        rows = [json.loads(row) for row in log.splitlines()]
        assert [row["step"] for row in rows][-1] == 3
        assert all(np.isfinite(row["loss"]) for row in rows)
        assert (tmp_path / f"state/{name}.png").exists()
        assert (tmp_path / f"state/{name}_sheet.png").exists() == (name != "clip")
    assert load_clip(tmp_path / "weights/clip").visual.image_size == (224, 224)
    pipeline = StableVideoDiffusionPipeline.from_pretrained(
        tmp_path / "weights/svd", variant="fp16", dtype=torch.float32
    )
    image = Image.new("RGB", (128, 128), "teal")
    frames = pipeline(
        image, height=128, width=128, num_frames=3, num_inference_steps=2, output_type="np"
    ).frames
    assert frames.shape == (1, 3, 128, 128, 3)
    assert np.isfinite(frames).all()
    assert pipeline.scheduler.config.sigma_max == 700
    mask = positions_of_sparse_weights(pipeline.unet, tmp_path / "weights")
    (tmp_path / "state/sparse.pt").unlink()
    train("sparse", tmp_path, 2, monkeypatch, "--warm")
    assert mask == positions_of_sparse_weights(pipeline.unet, tmp_path / "weights")
    student_fits_its_teacher_alone(pipeline.unet, tmp_path / "weights")
    tiny_decoder_fits_its_vae_alone(pipeline.vae, tmp_path / "weights")


def toy(folder: Path, steps: int, warm: bool = True) -> Training:
    plan = Plan(1, steps, folder, folder, torch.device("cpu"), 1, warm, False, 0)
    return Training("toy", torch.nn.Linear(1, 1), plan, peak=0.1)


def run(training: Training) -> None:
    training.run(lambda share: training.model(torch.ones(1, 1)).square().sum())


def test_an_interrupted_warm_training_goes_on_and_a_finished_one_is_refused(tmp_path) -> None:
    run(toy(tmp_path, 2))
    longer = toy(tmp_path, 3)
    assert longer.step == 2
    run(longer)
    with pytest.raises(InvalidRequestError, match=r"toy\.pt holds .* is finished.*remove it"):
        toy(tmp_path, 3)
    assert toy(tmp_path, 3, warm=False).warm


def test_a_state_of_other_optimisers_is_refused(tmp_path) -> None:
    run(toy(tmp_path, 2))
    state = torch.load(tmp_path / "toy.pt", weights_only=True)
    state["optimisers"] *= 2
    torch.save(state, tmp_path / "toy.pt")
    with pytest.raises(InvalidRequestError, match=r"toy\.pt was written by another .*remove it"):
        toy(tmp_path, 3)


def test_warm_does_not_go_on_with_a_training_that_was_not(tmp_path) -> None:
    run(toy(tmp_path, 2, warm=False))
    with pytest.raises(InvalidRequestError, match=r"toy\.pt holds .* was not begun from weights"):
        toy(tmp_path, 3)
    assert toy(tmp_path, 3, warm=False).step == 2


def test_the_log_tells_what_is_left_of_the_budget_in_use(tmp_path, capsys) -> None:
    run(toy(tmp_path, 2))
    assert "} 0 steps left" in capsys.readouterr().out
    training = toy(tmp_path, 5)
    assert training._left == "3 steps"
    training.plan = replace(training.plan, steps=None)
    training.spent = 15
    assert training._left == "0.8 min"


@pytest.mark.parametrize("words", ["--minutes 0", "--minutes -1", "--minutes nan", "--steps 0"])
def test_a_budget_of_nothing_is_refused(words, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *words.split()])
    with pytest.raises(SystemExit):
        parse("Train.", Path("weights"), minutes=1, batch=1)
    assert f"{words.split()[0]} is {words.split()[1]}; give" in capsys.readouterr().err


def positions_of_sparse_weights(unet: torch.nn.Module, zoo: Path) -> dict[str, list[int]]:
    """Of the file that was trained, which moves nothing but Linears."""
    tuned, dense = copy.deepcopy(unet), two_of_four.linears(unet)
    packed = load_file(zoo / MINI)
    moved = two_of_four.put_in(tuned, packed)
    assert len(dense) / 2 < moved <= len(dense)
    trained = {f"{name}.{part}" for name in dense for part in ("weight", "bias")}
    held = tuned.state_dict()
    others = {name: value for name, value in unet.state_dict().items() if name not in trained}
    assert others
    assert all(torch.equal(held[name], value) for name, value in others.items())
    with safe_open(zoo / MINI, "pt") as file:
        assert file.metadata() == {"base": students.fingerprint(zoo / "svd/unet")}
    return {name: packed[f"{name}.positions"].tolist() for name in dense}


def student_fits_its_teacher_alone(unet: torch.nn.Module, zoo: Path) -> None:
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    students._add_mini(unet, zoo)
    moved = [not torch.equal(value, before[name]) for name, value in unet.state_dict().items()]
    assert 0 < sum(moved) < len(moved)
    weights = zoo / "svd/unet/diffusion_pytorch_model.fp16.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="distilled from another UNet"):
        students._add_mini(unet, zoo)
    (zoo / students.MINI).unlink()
    with pytest.raises(MissingWeightsError, match=r"python -m accel\.zoo\.train_lcm"):
        students._add_mini(unet, zoo)


def tiny_decoder_fits_its_vae_alone(vae: torch.nn.Module, zoo: Path) -> None:
    decoder = tiny_decoder._mini(8, vae.config.scaling_factor, zoo)
    latents = torch.zeros(2, 8, 4, 4)
    assert decoder(latents, torch.zeros(1, 2), num_frames=2).shape == (2, 3, 32, 32)
    assert (zoo / tiny_decoder.MINI).stat().st_size < 500_000
    weights = zoo / "svd/vae/diffusion_pytorch_model.fp16.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="distilled from another VAE"):
        tiny_decoder._mini(8, vae.config.scaling_factor, zoo)


def test_learning_rate_warms_up_and_anneals() -> None:
    assert learning_rate(0.0, 0, 1.0) == pytest.approx(0.01)
    assert learning_rate(0.0, 99, 1.0) == pytest.approx(1)
    assert learning_rate(1.0, 999, 1.0) == pytest.approx(0.01)


def test_a_warm_training_of_the_vae_leaves_its_latents(tmp_path, monkeypatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(train_vae, "CLIP_FRAMES", 2)
    monkeypatch.setattr(samples, "CLIPS", 1)
    monkeypatch.setattr(samples, "SHOWN", (0, 1))
    shutil.copytree(WEIGHTS / "svd/vae", tmp_path / "weights/svd/vae")
    train("vae", tmp_path, 2, monkeypatch, "--warm")
    name = "svd/vae/diffusion_pytorch_model.fp16.safetensors"
    old, new = load_file(WEIGHTS / name), load_file(tmp_path / "weights" / name)
    changed = {key.split(".")[0] for key in old if not torch.equal(old[key], new[key])}
    assert changed == {"decoder"}
    old, new = (
        json.loads((zoo / "svd/vae/config.json").read_text())
        for zoo in (WEIGHTS, tmp_path / "weights")
    )
    assert new["scaling_factor"] == old["scaling_factor"]
