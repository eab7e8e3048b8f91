"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from tests.tiny import save_tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random pipeline of toy width, fp16 variant, in several shards."""
    return save_tiny(tmp_path_factory.mktemp("tiny"), shard="200KB")
