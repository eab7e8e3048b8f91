"""Tune the mini UNet's Linears while they are 2:4 sparse.

    python -m accel.zoo.train_sparse --minutes 3

Needs the whole pipeline in --out. The Linears are pruned by magnitude once; what is left of them
learns to predict what the dense UNet does for the same noised clip. That prediction alone is the
goal, not the true v beside it: it is the mean of v as far as the dense UNet knows it, so that its
gradients lack the noise of a single clip, and it is what the method is held to. What moves counts
more, and every second step noises the sparse UNet's own guess, as for the dense one (train_unet).
With --warm it begins with the weights in --out.
Source: Mishra et al. 2021 (arXiv:2104.08378), with a teacher in place of the labels.
"""

import copy
from collections.abc import Sequence

import torch
from diffusers import UNetSpatioTemporalConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from accel.errors import IntegrityError
from accel.models import two_of_four
from accel.models.students import fingerprint
from accel.models.tuned import MINI, read
from accel.zoo import samples
from accel.zoo.conditioning import Conditions, draw_sigma, drop, noised
from accel.zoo.train_unet import Feed, Network, emphasis, guess, prediction
from accel.zoo.training import WEIGHTS, Training, autocast, parse


def distance(
    networks: Sequence[Network],
    latents: Tensor,
    given: Conditions,
    sigma: Tensor,
    seen: Tensor | None = None,
) -> Tensor:
    """MSE between the v of student and teacher for scaled latents [n, T, C, h, w], with emphasis.

    seen: as `noised` takes it.
    """
    student, teacher = networks
    sample, time, _ = noised(latents, sigma, seen)
    with torch.no_grad():
        goal = prediction(teacher, sample, time, given)
    error = (prediction(student, sample, time, given) - goal).square()
    return (emphasis(latents) * error).mean()


def check_masks(student: nn.Module, teacher: nn.Module) -> None:
    """Raise IntegrityError if a resumed student was pruned from another UNet."""
    dense = two_of_four.linears(teacher)
    for name, layer in two_of_four.linears(student).items():
        if layer.weight[~two_of_four.mask(dense[name].weight)].any():
            raise IntegrityError(
                f"the state of the run belongs to another UNet: {name} has another mask; "
                "remove sparse.pt from the state folder"
            )


def main() -> None:
    plan = parse("Tune the 2:4 sparse mini UNet.", WEIGHTS, minutes=3, batch=64)
    torch.manual_seed(plan.seed)
    folder = plan.out / "svd" / "unet"
    teacher = UNetSpatioTemporalConditionModel.from_pretrained(
        folder, variant="fp16", dtype=torch.float32
    ).to(plan.device)
    student = copy.deepcopy(teacher)
    two_of_four.make_trainable(student, read(plan.out / MINI, folder) if plan.warm else None)
    training = Training("sparse", student, plan, peak=1e-3)
    check_masks(student, teacher)
    feed = Feed(plan, training)
    plain = (student, teacher)
    quick = tuple(torch.compile(n, dynamic=False) if plan.compile else n for n in plain)

    def loss_of(share: float) -> Tensor:
        compiled, latents, given = feed.draw()
        networks = quick if compiled else plain
        seen: Tensor | None = None
        with autocast(plan.device):
            if training.step % 2:
                seen, sigma = guess(networks[0], latents, given)
            else:
                sigma = draw_sigma(len(latents), plan.device)
            return distance(networks, latents, drop(given), sigma, seen)

    training.run(loss_of, samples.generations(student, feed.bank.vae, feed.bank.encoder))
    if not plan.ranks.first:
        return
    with training.averaged():
        found = two_of_four.tensors(student)
    (plan.out / MINI).parent.mkdir(parents=True, exist_ok=True)
    save_file(found, plan.out / MINI, {"base": fingerprint(folder)})


if __name__ == "__main__":
    main()
