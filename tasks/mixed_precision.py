"""bfloat16 where the device computes in it itself: emulated, it would be slower than float32."""

import torch


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Autocast to bfloat16 where the device has it, else nothing."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=native_bfloat16(kind))


def native_bfloat16(kind: str) -> bool:
    """Whether a kind of device, such as "cpu" or "cuda", computes in bfloat16 itself."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
