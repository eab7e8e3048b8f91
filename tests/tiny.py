"""A random SVD of toy width in the full layout: for what needs a pipeline and no quality."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from accel.models import two_of_four
from accel.models.sources import SCHEDULER
from accel.models.students import fingerprint
from accel.models.tiny_decoder import TinyDecoder

UNET = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "num_attention_heads": (2, 4),
}
SHALLOW_UNET = {
    "block_out_channels": (32,),
    "down_block_types": ("DownBlockSpatioTemporal",),
    "up_block_types": ("UpBlockSpatioTemporal",),
    "num_attention_heads": (2,),
}
"""Of one level, with attention in its middle alone: half as long to compile."""


def tiny_pipeline(
    seed: int = 0, unet_config: Mapping[str, Any] = UNET
) -> StableVideoDiffusionPipeline:
    """UNet of two levels, VAE of scale 8, CLIP of one layer; seeded."""
    torch.manual_seed(seed)
    unet = UNetSpatioTemporalConditionModel(
        **unet_config,
        layers_per_block=1,
        cross_attention_dim=32,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
    )
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        layers_per_block=1,
    )
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            patch_size=32,
            projection_dim=32,
        )
    )
    return StableVideoDiffusionPipeline(
        vae=vae.eval(),
        image_encoder=clip.eval(),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        feature_extractor=CLIPImageProcessor(size=224, crop_size=224),
    )


def save_tiny(
    folder: Path,
    variant: str | None = "fp16",
    shard: str = "10GB",
    unet_config: Mapping[str, Any] = UNET,
) -> Path:
    """The tiny pipeline as a folder, in halves; shard: largest file, as in "200KB".

    Beside its parts lie student.safetensors: a UNet of the same size and another seed, in fp32,
    tuned.safetensors: what the 2:4 mask leaves of the UNet's own Linears, shrunk by a tenth, and
    decoder.safetensors: a tiny decoder of 8 channels.
    """
    pipeline = tiny_pipeline(unet_config=unet_config).to(dtype=torch.float16)
    pipeline.save_pretrained(folder, variant=variant, max_shard_size=shard)
    student = tiny_pipeline(seed=1, unet_config=unet_config).unet
    save_file(student.state_dict(), folder / "student.safetensors")
    decoder = TinyDecoder(8, 4, pipeline.vae.config.scaling_factor)
    save_file(decoder.state_dict(), folder / "decoder.safetensors")
    save_two_of_four(pipeline.unet, folder / "tuned.safetensors", fingerprint(folder / "unet"))
    return folder


@torch.no_grad()
def save_two_of_four(unet: torch.nn.Module, path: Path, base: str, scale: float = 0.9) -> None:
    """Prune a UNet's Linears in place, scale what is left of their weights, and save that."""
    for linear in two_of_four.linears(unet).values():
        linear.weight *= scale * two_of_four.mask(linear.weight)
    save_file(two_of_four.tensors(unet), path, {"base": base})
