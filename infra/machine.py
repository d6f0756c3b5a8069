"""What this machine is called where figures are shown."""

import platform
from pathlib import Path

from infra.settings import available_cores


def machine_name(device: str) -> str:
    """The GPU's name for `cuda`; else the CPU's and how many cores this process may use."""
    if device == "cuda":
        import torch  # noqa: PLC0415 (takes seconds, and a CPU needs no torch to be named)

        return str(torch.cuda.get_device_name())
    return f"{_cpu()}, {available_cores()} cores"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
