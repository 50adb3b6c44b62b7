"""Which device computes the scores."""

from __future__ import annotations

from pathlib import Path

from vaecli.errors import MissingDevice, MissingPackage

GPU_DEVICE = Path("/dev/nvidiactl")


def device_of(device: str) -> str | None:
    """The torch device that was asked for, None for NumPy. torch is imported only where there is a GPU to use."""
    if device == "cpu" or (device == "auto" and not GPU_DEVICE.exists()):
        return None
    try:
        import torch
    except ImportError:
        if device == "auto":
            return None
        raise MissingPackage("--device cuda needs torch", "pip install torch, or use --device cpu") from None
    if torch.cuda.is_available():
        return "cuda"
    if device == "auto":
        return None
    raise MissingDevice("no CUDA device is available", "use --device cpu, or install a CUDA build of torch")
