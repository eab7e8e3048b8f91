"""Fixtures that several test files share. Nothing heavy is imported before a test asks for it."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

LONGEST = (
    "methods/test_pairs", "zoo/test_acceptance", "prove/test_prove", "test_signals", "test_gates",
    "test_runner", "test_faults", "test_commands", "methods/test_contract", "test_base_head",
    "zoo/test_training", "prove/test_no_effect", "test_cold_start", "test_readme", "test_fresh",
    "test_inputs", "test_resumed", "test_vram",
)  # fmt: skip
"""Files of tests that take half a minute or more on a core, the longest first."""

ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that no core ends with one while the others idle."""
    places = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONGEST)}
    assert all(path.exists() for path in places)
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random pipeline of toy width, fp16 variant, in several shards."""
    from tests.tiny import save_tiny

    return save_tiny(tmp_path_factory.mktemp("tiny"), shard="200KB")


@pytest.fixture(scope="session")
def shallow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random pipeline whose UNet has one level: half as long to compile."""
    from tests.tiny import SHALLOW_UNET, save_tiny

    return save_tiny(tmp_path_factory.mktemp("shallow"), unet_config=SHALLOW_UNET)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a worker fails the test."""

    def fail(*arguments: object) -> None:
        pytest.fail("a worker was started")

    monkeypatch.setattr("accel.launch.Worker", fail)


@pytest.fixture
def clean_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """This accel is a clean checkout, in whatever state it is while the tests run."""
    from tests.asking import COMMIT

    monkeypatch.setattr("accel.environment.checkout", lambda: COMMIT)
