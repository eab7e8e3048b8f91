"""Complete the pipeline folder of the mini SVD: index, scheduler and feature extractor.

    python -m accel.zoo.assemble

The trained parts are written by train_clip, train_vae and train_unet.
"""

import argparse
import json
from pathlib import Path

from diffusers import EulerDiscreteScheduler
from transformers import CLIPImageProcessor

from accel.models.sources import SCHEDULER
from accel.zoo.clip import MEAN, STD
from accel.zoo.training import WEIGHTS

INDEX = {
    "_class_name": "StableVideoDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
    "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
}


def scheduler() -> EulerDiscreteScheduler:
    """The scheduler of Stable Video Diffusion: 25 Karras steps from sigma 700 to 0.002."""
    return EulerDiscreteScheduler(**SCHEDULER)


def extractor() -> CLIPImageProcessor:
    """The feature extractor of Stable Video Diffusion."""
    return CLIPImageProcessor(
        size={"shortest_edge": 224},
        crop_size={"height": 224, "width": 224},
        image_mean=list(MEAN),
        image_std=list(STD),
    )


def assemble(weights: Path = WEIGHTS) -> None:
    """Write what the pipeline needs besides its networks."""
    folder = weights / "svd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    scheduler().save_pretrained(folder / "scheduler")
    extractor().save_pretrained(folder / "feature_extractor")
    for config in folder.glob("*/config.json"):
        found = json.loads(config.read_text())
        found.pop("_name_or_path", None)  # a warm start leaves the path of the machine there
        config.write_text(json.dumps(found, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Complete the mini SVD's pipeline folder.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the weights")
    assemble(parser.parse_args().out)


if __name__ == "__main__":
    main()
