"""Ranks that train together hold the same parameters, and the first of them alone writes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from accel.zoo.ranks import Ranks, join
from accel.zoo.training import Plan, scene_seeds

SCRIPT = """
import sys
from pathlib import Path

import torch

from accel.zoo.ranks import join
from accel.zoo.training import Plan, Training

out = Path(sys.argv[1])
ranks, device = join(torch.device("cpu"))
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
plan = Plan(0, 4, out, out / "state", device, 1, False, False, 0, ranks)
own = torch.tensor([ranks.rank, 3.0])
ranks.share([own])
training = Training("toy", model, plan, peak=0.1)
seen = []


def loss_of(share):
    seen.append(torch.randn(1, 3))
    return model(seen[-1]).square().sum()


training.run(loss_of)
threads = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").glob("*")]
assert not any("gloo" in name for name in threads), threads
torch.save((model.weight.detach(), torch.cat(seen), ranks, own), out / f"{ranks.rank}.pt")
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[torch.Tensor, ...]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    (folder / "toy.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launch, str(folder / "toy.py"), str(folder)], check=True, timeout=120, cwd=Path.cwd()
    )
    assert len((folder / "state/toy.jsonl").read_text().splitlines()) == 1
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_two_ranks_agree_on_the_parameters_and_draw_data_of_their_own(outcomes) -> None:
    (weight, seen, first, _), (other, unlike, second, _) = outcomes
    assert torch.equal(weight, other)
    assert not torch.equal(seen, unlike)
    assert (first, second) == (Ranks(0, 2), Ranks(1, 2))


def test_what_is_shared_is_the_first_ranks(outcomes) -> None:
    assert [shared.tolist() for *_, shared in outcomes] == [[0.0, 3.0]] * 2


def test_alone_nothing_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    cpu = torch.device("cpu")
    ranks, device = join(cpu)
    one = torch.ones(2)
    ranks.average([one])
    ranks.share([one])
    assert (ranks, device, one.tolist(), ranks.agree(0.5, cpu)) == (Ranks(), cpu, [1, 1], 0.5)


def test_seeds_differ_by_rank_step_and_seed_and_stay_below_the_held_out_ones() -> None:
    def seeds(seed: int, step: int, rank: int) -> list[int]:
        cpu, here = torch.device("cpu"), Path()
        plan = Plan(1, None, here, here, cpu, 1, False, False, seed, Ranks(rank, 4))
        found = scene_seeds(plan, step)
        return [next(found) for _ in range(100)]

    plans = [(0, 0, 0), (0, 0, 1), (0, 7, 0), (1, 0, 0)]
    drawn = [seeds(*plan) for plan in plans]
    assert drawn[0] == seeds(*plans[0])
    assert len({tuple(own) for own in drawn}) == len(plans)
    assert all(1_000_000 <= seed < 990_000_000 for own in drawn for seed in own)
