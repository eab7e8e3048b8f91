"""Distil the mini UNet into a latent-consistency student, kept as low-rank changes.

    python -m accel.zoo.train_lcm --minutes 5

Needs the whole pipeline in --out. From one of the 40 noise levels of AnimateLCM-SVD's sampler the
student predicts the clean clip; its goal is what its own moving average predicts one level lower,
where one Euler step of the guided teacher leads. From the lowest level that step is the goal.
Source: Wang et al. 2024 (arXiv:2402.00769).
"""

import copy
from dataclasses import dataclass

import torch
from diffusers import UNetSpatioTemporalConditionModel
from safetensors.torch import save_file
from torch import Tensor

from accel.models import low_rank
from accel.models.lcm import ConsistencyScheduler, consistency_sigmas
from accel.models.students import MINI, fingerprint
from accel.zoo import samples
from accel.zoo.conditioning import Conditions
from accel.zoo.train_unet import Feed, Network, clean, guided
from accel.zoo.training import WEIGHTS, Training, autocast, parse

RANK = 16
PEAK = 1e-4  # learning rate; at 1e-3 the loss rose, and 4 steps tore
SHEET_STEPS = 4  # as the method `lcm` takes
DECAY = 0.95  # of the goal's moving average
HUBER = 1e-3
GUIDANCE = ((1.0, 1.5), (2.0, 3.0))  # drawn for the first and for the last frame


@dataclass(frozen=True)
class Nets:
    """student: trained. goal: its moving average. teacher: as it was."""

    student: Network
    goal: Network
    teacher: Network


def ends(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random guidance of the first and of the last frame, [n] each."""
    first, last = (torch.empty(n, device=device).uniform_(*bounds) for bounds in GUIDANCE)
    return first, last


@torch.no_grad()
def solved(teacher: Network, x: Tensor, sigma: Tensor, after: Tensor, given: Conditions) -> Tensor:
    """x one Euler step of the guided teacher later, at noise levels `after` [n]."""
    own = guided(teacher, x, sigma, given, ends(len(x), x.device))
    ratio = (after / sigma).reshape(-1, 1, 1, 1, 1)
    return own + ratio * (x - own)


def consistency_loss(nets: Nets, latents: Tensor, given: Conditions) -> Tensor:
    """Pseudo-Huber distance of the student's clean latents [n, T, C, h, w] to their goal."""
    levels = consistency_sigmas(40).float().to(latents.device)
    pick = torch.randint(40, (len(latents),), device=latents.device)
    sigma, after = levels[pick], levels[pick + 1]
    x = latents + sigma.reshape(-1, 1, 1, 1, 1) * torch.randn_like(latents)
    with torch.no_grad():
        later = solved(nets.teacher, x, sigma, after, given)
        last = (after == 0).reshape(-1, 1, 1, 1, 1)
        goal = clean(nets.goal, later, after.clamp(min=float(levels[-2])), given)
        goal = torch.where(last, later, goal)
    difference = clean(nets.student, x, sigma, given) - goal
    distance = (difference.square() + HUBER**2).sqrt() - HUBER
    weight = (sigma - after).pow(-0.1).reshape(-1, 1, 1, 1, 1)
    return (weight * distance).mean()


def main() -> None:
    plan = parse("Distil the mini UNet.", WEIGHTS, minutes=5, batch=64)
    torch.manual_seed(plan.seed)
    folder = plan.out / "svd" / "unet"
    teacher = UNetSpatioTemporalConditionModel.from_pretrained(
        folder, variant="fp16", dtype=torch.float32
    ).to(plan.device)
    student = copy.deepcopy(teacher)
    low_rank.make_trainable(student, RANK)
    training = Training("lcm", student, plan, PEAK)
    goal = copy.deepcopy(student).requires_grad_(False)
    pairs = list(goal.parameters()), [p.detach() for p in student.parameters()]
    feed = Feed(plan, training)
    plain = (student, goal, teacher)
    quick = [torch.compile(n, dynamic=False) if plan.compile else n for n in plain]

    def loss_of(share: float) -> Tensor:
        torch._foreach_lerp_(*pairs, 1 - DECAY)
        compiled, latents, given = feed.draw()
        nets = Nets(*(quick if compiled else plain))
        with autocast(plan.device):
            return consistency_loss(nets, latents, given)

    sheet = samples.generations(
        student,
        feed.bank.vae,
        feed.bank.encoder,
        ConsistencyScheduler(),
        SHEET_STEPS,
        guidance=1.0,  # which it has learned
    )
    training.run(loss_of, sheet)
    if not plan.ranks.first:
        return
    with training.averaged():
        found = {name: value.half().cpu() for name, value in low_rank.tensors(student).items()}
    (plan.out / MINI).parent.mkdir(parents=True, exist_ok=True)
    save_file(found, plan.out / MINI, {"base": fingerprint(folder)})


if __name__ == "__main__":
    main()
