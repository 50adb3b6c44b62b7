"""Which device trains and which computes the scores."""

from __future__ import annotations

from pathlib import Path

from vaecli.errors import MissingDevice, MissingPackage

GPU_DEVICE = Path("/dev/nvidiactl")


def torch_device(device: str) -> str:
    """`cpu` or `cuda`, which `auto` gives where torch finds one. Imports torch, which must be installed.

    Raises EnvironmentProblem when `cuda` is asked for and absent.
    """
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise MissingDevice("no CUDA device is available", "use --device cpu, or install a CUDA build of torch")
    return "cpu"


def require_device(device: str) -> None:
    """Raise EnvironmentProblem now where `cuda` is asked for and absent. Of another device torch is not imported."""
    if device == "cuda":
        torch_device(device)


def device_of(device: str) -> str | None:
    """The torch device that scores, None for NumPy. torch is imported only where there is a GPU to use.

    Raises EnvironmentProblem when `cuda` is asked for and torch or the device is absent.
    """
    if device == "cpu" or (device == "auto" and not GPU_DEVICE.exists()):
        return None
    try:
        found = torch_device(device)
    except ImportError:
        if device == "auto":
            return None
        raise MissingPackage("--device cuda needs torch", "pip install torch, or use --device cpu") from None
    return None if found == "cpu" else found
