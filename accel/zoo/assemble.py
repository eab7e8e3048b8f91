"""Complete the pipeline folder of the mini SVD: index, scheduler, feature extractor, model card.

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
CARD = """\
# Mini models

Small models that accel trained itself, in the layout of diffusers (`svd`) and open_clip (`clip`),
fp16. They exist so that accelerations can be judged without the hub: they say nothing about the
quality of the full-size models.

- Data: the synthetic world of `accel/zoo/scenes.py`, with CC0 and public-domain photographs from
  the scikit-image wheel as backgrounds. The photographs in `accel/zoo/photos` were never used.
- Licence: as accel's own (see LICENSE).
- Request: 128x128, 7 to 25 frames, fps 1.25 to 12; motion bucket 127 at 7 fps is 2 px per frame
  for the fastest 5 % of the pixels; bucket 1 is a still.
- Training: `python -m accel.zoo.train_clip`, `train_vae`, `train_unet`.

## Measured

Not yet measured.
"""


def scheduler() -> EulerDiscreteScheduler:
    """The scheduler of Stable Video Diffusion: 25 Karras steps from sigma 700 to 0.002."""
    return EulerDiscreteScheduler(**SCHEDULER)


def assemble(weights: Path = WEIGHTS) -> None:
    """Write what the pipeline needs besides its networks; an existing card is kept."""
    folder = weights / "svd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    scheduler().save_pretrained(folder / "scheduler")
    extractor = CLIPImageProcessor(
        size={"shortest_edge": 224},
        crop_size={"height": 224, "width": 224},
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    extractor.save_pretrained(folder / "feature_extractor")
    for config in folder.glob("*/config.json"):
        found = json.loads(config.read_text())
        found.pop("_name_or_path", None)  # a warm start leaves the path of the machine there
        config.write_text(json.dumps(found, indent=2) + "\n")
    card = weights / "README.md"
    if not card.exists():
        card.write_text(CARD)


def main() -> None:
    parser = argparse.ArgumentParser(description="Complete the mini SVD's pipeline folder.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the weights")
    assemble(parser.parse_args().out)


if __name__ == "__main__":
    main()
