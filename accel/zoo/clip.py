"""The mini CLIP: its configuration, its tokenizer, and its two file layouts.

open_clip's layout (weights/clip) holds both towers and the vocabulary; the pipeline's image
encoder (weights/svd/image_encoder) is the same vision tower in the layout of transformers.
The standard tokenizer's 49,408 tokens would cost 12.6 MB at width 128, so ours is a closed
vocabulary of whole words: id 0 pads, 1 starts, the last id ends, which open_clip pools at.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    _resize_with_antialiasing,
)
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from accel.zoo.backgrounds import BACKGROUNDS
from accel.zoo.sprites import COLOURS, SPRITES
from accel.zoo.training import WEIGHTS

FOLDER = WEIGHTS / "clip"
MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI's
STD = (0.26862954, 0.26130258, 0.27577711)
CONTEXT = 24
GLUE = ("a", "an", "and", "box", "but", "cross", "facing", "in", "nothing", "on", "over", "ring")
COMPASS = ("down", "left", "right", "up")
VOCABULARY = (
    "<pad>",
    "<start>",
    *sorted({*GLUE, *COMPASS, *COLOURS, *" ".join(SPRITES).split(), *BACKGROUNDS}),
    "<end>",
)


class WordTokenizer:
    """Words to ids, [n, CONTEXT] int64; unknown words raise KeyError."""

    def __init__(self, vocabulary: Sequence[str] = VOCABULARY) -> None:
        self.ids = {word: i for i, word in enumerate(vocabulary)}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        tokens = torch.zeros(len(texts), CONTEXT, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            words = ["<start>", *text.split(), "<end>"]
            row[: len(words)] = torch.tensor([self.ids[word] for word in words])
        return tokens


def model_config() -> dict[str, Any]:
    """open_clip's configuration of the mini CLIP."""
    return {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 224,
            "layers": 4,
            "width": 128,
            "head_width": 32,
            "patch_size": 32,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(VOCABULARY),
            "width": 128,
            "heads": 4,
            "layers": 4,
        },
    }


def build_clip() -> CLIP:
    """A mini CLIP with random parameters."""
    return CLIP(**model_config())


def load_clip(folder: Path = FOLDER) -> CLIP:
    """The trained mini CLIP in fp32, in evaluation mode."""
    config = json.loads((folder / "open_clip_config.json").read_text())
    model = CLIP(**config["model_cfg"])
    weights = load_file(folder / "open_clip_model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()


def save_clip(model: nn.Module, folder: Path = FOLDER) -> None:
    """Write open_clip's layout in fp16 (`open_clip.create_model("local-dir:FOLDER")` reads it)."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_cfg": model_config(),
        "preprocess_cfg": {"mean": MEAN, "std": STD},
        "vocabulary": VOCABULARY,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: v.detach().half().cpu().contiguous() for name, v in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def pixels(frames: Tensor) -> Tensor:
    """Frames [n, 3, H, W] in [0, 1] as the SVD pipeline hands them to CLIP: [n, 3, 224, 224]."""
    sized = (_resize_with_antialiasing(frames * 2 - 1, (224, 224)) + 1) / 2
    mean, std = (torch.tensor(v, device=frames.device).reshape(3, 1, 1) for v in (MEAN, STD))
    normalised: Tensor = (sized - mean) / std
    return normalised


def _block(source: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    """One residual block in the names of transformers."""
    old, new = f"transformer.resblocks.{i}.", f"encoder.layers.{i}."
    pairs = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    block = {}
    for kind in ("weight", "bias"):
        parts = source[f"{old}attn.in_proj_{kind}"].chunk(3)
        for name, part in zip("qkv", parts, strict=True):
            block[f"{new}self_attn.{name}_proj.{kind}"] = part
        for theirs, ours in pairs.items():
            block[f"{new}{ours}.{kind}"] = source[f"{old}{theirs}.{kind}"]
    return block


def image_encoder(model: CLIP) -> CLIPVisionModelWithProjection:
    """The vision tower as the pipeline's image encoder, in fp32, in evaluation mode."""
    config = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=224,
        patch_size=32,
        hidden_act="gelu",
        projection_dim=128,
    )
    visual = model.visual
    source = {name: v.detach().float().cpu() for name, v in visual.state_dict().items()}
    tower = {
        "embeddings.class_embedding": source["class_embedding"],
        "embeddings.position_embedding.weight": source["positional_embedding"],
        "embeddings.patch_embedding.weight": source["conv1.weight"],
    }
    for theirs, ours in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        for kind in ("weight", "bias"):
            tower[f"{ours}.{kind}"] = source[f"{theirs}.{kind}"]
    for i in range(4):
        tower |= _block(source, i)
    encoder = CLIPVisionModelWithProjection(config)
    renamed = {f"vision_model.{name}": value.contiguous() for name, value in tower.items()}
    renamed["visual_projection.weight"] = source["proj"].T.contiguous()
    encoder.load_state_dict(renamed)
    return encoder.eval()
