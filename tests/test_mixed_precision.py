"""Products are bfloat16 where the device computes so itself, and float32 elsewhere."""

from pathlib import Path

import pytest
import torch

from tasks import mixed_precision
from tasks.mixed_precision import native_bfloat16


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_products_are_bfloat16_where_the_device_computes_so(
    monkeypatch: pytest.MonkeyPatch, native: bool, device: torch.device | str
) -> None:
    monkeypatch.setattr(mixed_precision, "native_bfloat16", lambda kind: {"cpu": native}[kind])
    ones = torch.ones(2, 2)
    with mixed_precision.mixed_precision(device):
        assert (ones @ ones).dtype == (torch.bfloat16 if native else torch.float32)
    assert (ones @ ones).dtype == torch.float32


def test_the_processor_says_whether_it_has_bfloat16() -> None:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    if not flags:
        pytest.skip("this machine's /proc/cpuinfo names no flags")
    assert native_bfloat16("cpu") == ("avx512_bf16" in flags)
    assert not native_bfloat16("meta")
