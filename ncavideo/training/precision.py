"""The number type of training's matrix products."""

from __future__ import annotations

import llvmlite.binding as llvm
import torch

# Of CPUs by Intel, AMD and ARM; LLVM's names.
BFLOAT16_INSTRUCTIONS = ("avx512bf16", "amx-bf16", "bf16")


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether matrix products in bfloat16 are faster than in float32 on `device`."""
    if device.type == "cpu":
        # oneDNN multiplies such matrices on AVX-512 without instructions for them, too, but slower
        # than others. Which there are LLVM tells: torch has a public word for it only of late.
        features = llvm.get_host_cpu_features()
        has_them = any(features.get(name) for name in BFLOAT16_INSTRUCTIONS)
        return has_them and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    # GPUs before Ampere have no bfloat16 arithmetic: torch converts back and forth, more slowly.
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def matmul_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type for a recipe's `precision` on `device`, None for float32."""
    wanted = fast_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return torch.bfloat16 if wanted else None
