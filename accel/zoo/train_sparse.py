"""Tune the mini UNet's Linears while they are 2:4 sparse.

    python -m accel.zoo.train_sparse --minutes 20

Needs the whole pipeline in --out. The Linears are pruned once (one_shot); what is left of them
learns to predict what the dense UNet does for the same noised clip. That prediction alone is the
goal, not the true v beside it: it is the mean of v as far as the dense UNet knows it, so that its
gradients lack the noise of a single clip, and it is what the method is held to. What moves counts
more, and every second step noises the sparse UNet's own guess, as for the dense one (train_unet).
With --warm it begins with the weights in --out, under their mask.
Source: Mishra et al. 2021 (arXiv:2104.08378), with a teacher in place of the labels.
"""

import copy
from collections.abc import Sequence
from itertools import islice

import torch
from diffusers import UNetSpatioTemporalConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from accel.errors import IntegrityError
from accel.models import two_of_four
from accel.models.students import fingerprint
from accel.models.tuned import MINI, read
from accel.zoo import one_shot, samples
from accel.zoo.conditioning import Conditions, draw_sigma, drop, noised
from accel.zoo.train_unet import COMPILED, Bank, Feed, Network, emphasis, guess, prediction
from accel.zoo.training import WEIGHTS, Plan, Training, autocast, parse, scene_seeds

CHUNKS = 4  # of clips, by whose inputs the Linears are pruned
CALLS = 32  # of the dense UNet with a batch of them


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


def check(student: nn.Module, teacher: nn.Module) -> None:
    """Raise IntegrityError if a resumed student was made of another UNet: what is frozen tells."""
    dense = dict(teacher.named_parameters())
    for name, own in student.named_parameters():
        if not own.requires_grad and not torch.equal(own, dense[name]):
            raise IntegrityError(
                f"the state of the run belongs to another UNet: {name} differs; "
                "remove sparse.pt from the state folder"
            )


def prune(student: nn.Module, plan: Plan) -> None:
    """Prune a copy of the dense UNet, in place, by clips as the training draws them."""
    bank = Bank(plan)
    for seed in islice(scene_seeds(plan, 0), CHUNKS):
        bank.add(COMPILED, seed)

    def run() -> None:
        for _ in range(CALLS):
            latents, given = bank.draw(COMPILED)
            sample, time, _ = noised(latents, draw_sigma(len(latents), plan.device))
            with autocast(plan.device):
                prediction(student, sample, time, drop(given))

    one_shot.prune(student, one_shot.grams(student, run))
    # Data and products differ from rank to rank; the masks must not.
    plan.ranks.share([layer.weight for layer in two_of_four.linears(student).values()])


def main() -> None:
    plan = parse("Tune the 2:4 sparse mini UNet.", WEIGHTS, minutes=20, batch=16)
    torch.manual_seed(plan.seed)
    folder = plan.out / "svd" / "unet"
    teacher = UNetSpatioTemporalConditionModel.from_pretrained(
        folder, variant="fp16", dtype=torch.float32
    ).to(plan.device)
    student = copy.deepcopy(teacher)
    if plan.warm:
        two_of_four.put_in(student, read(plan.out / MINI, folder))
    else:
        prune(student, plan)
    two_of_four.make_trainable(student)
    training = Training("sparse", student, plan, peak=1e-3)
    check(student, teacher)
    feed = Feed(plan, training)
    plain = (student, teacher)
    mode = "reduce-overhead"
    quick = [torch.compile(n, dynamic=False, mode=mode) if plan.compile else n for n in plain]

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
