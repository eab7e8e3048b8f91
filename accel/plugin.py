"""The pytest plugin: markers, options and the `gate` fixture. Importing it imports no torch.

    def test_int8(gate):
        gate.check(Int8WeightOnly(), model="svd", weights="mini")

`pytest -m gpu` runs the gates that need a GPU; without one they are skipped with the reason, or
fail under --require-gpu. `pytest -m gpu -n auto` puts a worker of pytest-xdist on each GPU. Records
stay in the folder of --accel-out, and cases that have a record there are not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from accel.leftovers import KEY, Leftovers

if TYPE_CHECKING:
    from accel.gates import Gate

__all__ = ["gate"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("accel", "gates of accelerations")
    group.addoption("--require-gpu", action="store_true", help="fail, not skip, without a GPU")
    group.addoption(
        "--allow-inconclusive",
        action="store_true",
        help="missing, incomparable and inconclusive verdicts do not fail",
    )
    group.addoption("--accel-out", type=Path, help="run folder to keep and resume")
    group.addoption("--accel-baselines", type=Path, help="baselines folder (default: baselines)")
    group.addoption("--accel-pairs", type=int, default=3, help="generations of each side on a GPU")
    group.addoption(
        "--accel-blocks",
        type=int,
        default=0,
        help="then time single calls there, in up to so many blocks",
    )
    group.addoption(
        "--accel-fresh", action="store_true", help="a new process for each generation there"
    )
    group.addoption(
        "--accel-cold", action="store_true", help="measure cold starts of methods that compile"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs an NVIDIA GPU")
    config.addinivalue_line("markers", "prove: plants defects that the gate must catch; minutes")
    from accel.spread import place

    config.stash[KEY] = Leftovers(config, _baselines(config))
    config.pluginmanager.register(config.stash[KEY])
    place(config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """As many workers as GPUs for `-m gpu -n auto`; xdist's own number otherwise."""
    from accel.spread import wants_gpus

    return gpu_count() if wants_gpus(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole cases at a time for `-m gpu -n N`, unless --dist asks for something else."""
    from accel.spread import scheduler, wants_gpus

    if wants_gpus(config) and config.getoption("dist") == "load":
        return scheduler(config, log)
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    from accel.spread import sort, wants_gpus

    if hasattr(config, "workerinput") and wants_gpus(config):
        sort(items, _baselines(config), config.getoption("--accel-pairs"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None or gpu_count():
        return
    reason = "needs an NVIDIA GPU, and NVML finds none"
    if item.config.getoption("--require-gpu"):
        pytest.fail(f"--require-gpu: {item.name} {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """Measures cases and judges them against claims, reference and baselines."""
    from accel.gates import Gate

    option: Any = request.config.getoption
    part = getattr(request.config, "workerinput", {}).get("workerid", "")
    base = tmp_path_factory.getbasetemp()
    gates = Gate(
        folder=option("--accel-out") or (base.parent if part else base) / "accel",
        baselines=_baselines(request.config),
        pairs=option("--accel-pairs"),
        blocks=option("--accel-blocks"),
        allow_inconclusive=option("--allow-inconclusive"),
        part=part,
        cold=option("--accel-cold"),
        fresh=option("--accel-fresh"),
    )
    request.config.stash[KEY].gate = gates
    with gates:
        yield gates


def _baselines(config: pytest.Config) -> Path:
    given: Path | None = config.getoption("--accel-baselines")
    return given or config.rootpath / "baselines"


def gpu_count() -> int:
    """NVIDIA GPUs that NVML finds and CUDA_VISIBLE_DEVICES shows; 0 without a driver."""
    from accel.gpus import visible

    return len(visible())
