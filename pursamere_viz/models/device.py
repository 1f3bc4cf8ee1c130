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


def device_name(device: torch.device) -> str:
    """What a device is called, for people: a GPU's model, or how many threads compute on the CPU."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "GPU: Apple (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}" if device.type == "cpu" else str(device)


def reduced_precision(device: torch.device, wanted: bool = True) -> torch.autocast:
    """A context in which convolutions run in bfloat16, if wanted and if the device has instructions for it."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:  # torch tells this of a CPU only here
        native = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and native)
