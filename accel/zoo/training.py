"""The loop that all training commands share: budget, schedule, average, state, pictures, ranks.

A budget is minutes (or steps) in total, over all resumed runs; the learning rate is a function of
the share of it that is spent, so every run anneals fully. State is written by atomic rename, and so
are the pictures beside it: the loss curve, NAME.png, and what the averaged weights make of held-out
clips, NAME_sheet.png. They are drawn every few minutes, within the budget, and once after it.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from accel.errors import InvalidRequestError
from accel.zoo.curve import curve, read_log, write
from accel.zoo.muon import optimisers
from accel.zoo.ranks import ALONE, Ranks, join
from accel.zoo.update import Update

WEIGHTS = Path(__file__).parent / "weights"
STATE = Path("runs/zoo")
REPORT_SECONDS = 10.0
SAVE_SECONDS = 120.0
PICTURE_SECONDS = 180.0
PICTURE_SHARE = 0.05  # of the time, at most: on a CPU a sheet takes long, and they come less often
CHECK_STEPS = 10  # the clock is read, and the GPU waited for, every so many steps

Sheet = Callable[[str], Image.Image]
"""Draws samples of the model as it is when called, under a title; see samples.py."""


@dataclass(frozen=True)
class Plan:
    """One training command's options."""

    minutes: float  # total budget, over all resumed runs
    steps: int | None  # a budget in steps instead
    out: Path  # weights go here
    state: Path  # resumable state, the log and the pictures go here
    device: torch.device
    batch: int
    warm: bool  # start from the weights in `out`
    compile: bool
    seed: int
    ranks: Ranks = ALONE


def parse(description: str, out: Path, minutes: float, batch: int) -> Plan:
    """Read the options that every training command takes."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=minutes, help="total budget")
    parser.add_argument("--steps", type=int, help="budget in steps, instead of minutes")
    parser.add_argument("--out", type=Path, default=out, help="folder of the weights")
    parser.add_argument(
        "--state", type=Path, default=STATE, help="folder of state, log and pictures"
    )
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--warm", action="store_true", help="start from the weights in --out")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=cuda)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    if not 0 < options["minutes"] < math.inf:
        parser.error(f"--minutes is {options['minutes']:g}; give minutes above 0")
    if options["steps"] is not None and options["steps"] < 1:
        parser.error(f"--steps is {options['steps']}; give 1 or more")
    ranks, device = join(torch.device(options.pop("device")))
    return Plan(**options, device=device, ranks=ranks)


def scene_seeds(plan: Plan, step: int) -> Iterator[int]:
    """Endless seeds of chunks of up to 1000 scenes, below the held-out ones.

    Another sequence for every seed of a plan, step that a run starts at, and rank.
    """
    dice = random.Random(f"{plan.seed} {step} {plan.ranks.rank}")
    while True:
        yield 1000 * dice.randrange(1000, 990_000)


def learning_rate(share: float, step: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up over `warmup` steps, then cosine in the share of the budget, to 1 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return peak * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * cosine)


def autocast(device: torch.device) -> torch.autocast:
    """bf16 autocast on a GPU, nothing on a CPU; a cache would lend what no_grad cast to a loss."""
    on = device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=on, cache_enabled=False)


class Training:
    """Optimises the parameters of one module against a loss, for a budget."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        plan: Plan,
        peak: float,
        decay: float = 0.999,
        matrices: Sequence[Tensor] = (),
    ) -> None:
        """matrices: the parameters that Muon trains; AdamW trains the others."""
        self.name, self.model, self.plan, self.peak, self.decay = name, model, plan, peak, decay
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimisers = optimisers(self.parameters, matrices, peak)
        self.update = Update(self.parameters, self.average, self.optimisers)
        self.step = 0
        self.spent = 0.0  # seconds, over all runs
        self.warm = plan.warm  # how this training was begun, which may be an earlier run
        self._resume()
        self.resumed_at = self.step
        # A resumed run and every rank draw data of their own.
        torch.manual_seed(plan.seed + self.step + 1_000_003 * plan.ranks.rank)

    @property
    def share(self) -> float:
        """Spent share of the budget, from 0 to 1."""
        if self.plan.steps is not None:
            return self.step / max(self.plan.steps, 1)
        return self.spent / (60 * self.plan.minutes)

    def run(self, loss_of: Callable[[float], Tensor], sheet: Sheet | None = None) -> None:
        """Train until the budget is spent, and leave the ranks.

        `loss_of` takes the spent share, and draws a batch. `sheet` draws samples of the model that
        is trained, by its uncompiled modules.
        """
        began, before = time.perf_counter(), self.spent
        reported = saved = shown = began
        pause = PICTURE_SECONDS
        losses: list[Tensor] = []
        first = self.step
        self.model.train()
        while self.share < 1:
            losses.append(self._update(loss_of(self.share)))
            if self.step % CHECK_STEPS and self.plan.device.type == "cuda":
                continue
            losses[-1].item()  # waits for the GPU: the clock tells the truth
            now = time.perf_counter()
            self.spent = self.plan.ranks.agree(before + now - began, self.plan.device)
            if now - reported > REPORT_SECONDS or self.share >= 1:
                self._report(losses, (self.step - first) / (now - reported))
                reported, first, losses = now, self.step, []
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = time.perf_counter()
            if now - shown > pause and self.share < 1:
                took = self._show(sheet)
                shown, pause = time.perf_counter(), max(PICTURE_SECONDS, took / PICTURE_SHARE)
                reported += took  # which is no part of the steps' speed
        self.save()
        self.plan.ranks.part()
        self._show(sheet)

    def _update(self, loss: Tensor) -> Tensor:
        loss.backward()
        self.plan.ranks.average([p.grad for p in self.parameters if p.grad is not None])
        rate = learning_rate(self.share, self.step, self.peak)
        self.step += 1
        self.update(rate, 1 - min(self.decay, (1 + self.step) / (10 + self.step)))
        return loss.detach()

    def _report(self, losses: list[Tensor], speed: float) -> None:
        loss = float(torch.stack(losses).mean())
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"{self.name}: the loss is {loss} at step {self.step}; "
                "remove the state folder and lower the learning rate"
            )
        if not self.plan.ranks.first:
            return
        row = {
            "stage": self.name,
            "step": self.step,
            "loss": round(loss, 5),
            "steps_per_s": round(speed, 2),
            "minutes": round(self.spent / 60, 2),
            "share": round(self.share, 3),
            "resumed_at": self.resumed_at,
        }
        print(f"{json.dumps(row)} {self._left} left", flush=True)
        self.plan.state.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(json.dumps(row) + "\n")

    def _show(self, sheet: Sheet | None) -> float:
        """Draw the pictures on the first rank, and return the seconds that it took.

        The others wait for it where they next average gradients. The training goes on as it would
        have without: same parameters, mode and random numbers. Nor does it end for a picture.
        """
        if not self.plan.ranks.first:
            return 0.0
        began = time.perf_counter()
        title = f"{self.name} at step {self.step:,}"
        gpu = [self.plan.device] if self.plan.device.type == "cuda" else []
        try:
            if rows := read_log(self._log):
                write(curve(rows, f"Training of {self.name}"), self._log.with_suffix(".png"))
            if sheet is not None:
                with torch.random.fork_rng(gpu), self.averaged():
                    torch.manual_seed(0)  # sheets of different steps begin alike
                    picture = sheet(title)
                write(picture, self.plan.state / f"{self.name}_sheet.png")
        except (torch.OutOfMemoryError, OSError) as error:
            print(f"{title}: no new pictures: {error}", flush=True)
        return time.perf_counter() - began

    @property
    def _log(self) -> Path:
        return self.plan.state / f"{self.name}.jsonl"

    @property
    def _left(self) -> str:
        """What the budget still holds."""
        if self.plan.steps is not None:
            return f"{max(0, self.plan.steps - self.step)} steps"
        return f"{max(0.0, self.plan.minutes - self.spent / 60):.1f} min"

    @property
    def _file(self) -> Path:
        return self.plan.state / f"{self.name}.pt"

    def save(self) -> None:
        """Write the whole state, on the first rank; a crash leaves the old file."""
        if not self.plan.ranks.first:
            return
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "spent": self.spent,
            "warm": self.warm,
        }
        self.plan.state.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._file)

    def _resume(self) -> None:
        if not self._file.exists():
            return
        state: dict[str, Any] = torch.load(
            self._file, map_location=self.plan.device, weights_only=True
        )
        if len(held := state.get("optimisers", [])) != len(self.optimisers):
            raise InvalidRequestError(
                f"{self._file} was written by another version of this training, with other "
                "optimisers; remove it, or finish it with that version"
            )
        self.model.load_state_dict(state["model"])
        for optimiser, own in zip(self.optimisers, held, strict=True):
            optimiser.load_state_dict(own)
        torch._foreach_copy_(self.average, state["average"])
        self.step, self.spent = state["step"], state["spent"]
        self.warm = state.get("warm", False)
        if self.plan.warm and (not self.warm or self.share >= 1):
            what = "is finished" if self.warm else "was not begun from weights"
            raise InvalidRequestError(
                f"--warm: {self._file} holds a training that {what}, and would be taken in place "
                f"of the weights in {self.plan.out}; remove it, or leave out --warm"
            )
        print(f"{self.name}: resumed at step {self.step}", flush=True)

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model in evaluation mode with the averaged parameters, for the block.

        They are copied in place, and back: a compiled model knows them by their addresses.
        """
        own, mode = [p.detach().clone() for p in self.parameters], self.model.training
        with torch.no_grad():
            try:
                torch._foreach_copy_(self.parameters, self.average)
                yield self.model.eval()
            finally:
                torch._foreach_copy_(self.parameters, own)
                self.model.train(mode)
