"""Where the networks run."""

import os

import torch


def default_device() -> torch.device:
    """PURSAMERE_DEVICE if set, else CUDA, else MPS, else the CPU."""
    wanted = os.environ.get("PURSAMERE_DEVICE")
    if wanted:
        try:
            device = torch.device(wanted)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as problem:
            raise ValueError(f"PURSAMERE_DEVICE={wanted!r} cannot be used: {str(problem).splitlines()[0]}") from problem
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
