"""The most memory that has been used so far."""

import resource
from pathlib import Path

import torch


def peak_memory(device: str) -> int:
    """Of the GPU for "cuda", else of this process, bytes.

    The process's own high-water mark is Linux's VmHWM: `ru_maxrss` begins with what the starting process had.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:  # another system
        lines = []
    marks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * (marks[0] if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
