"""A benchmark's setting."""

from pathlib import Path

import pytest

from tasks.bench.bench_setting import BenchSetting


@pytest.fixture
def setting(tmp_path: Path) -> BenchSetting:
    """One thread, one round."""
    return BenchSetting(folder=tmp_path, device="cpu", threads=1, rounds=1)
