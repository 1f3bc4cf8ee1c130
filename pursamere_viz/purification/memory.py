"""How much is computed at once: a fixed budget, the measured cost of a row, and batches halved when memory runs out.

The size of a batch depends on the machine and the network, never on how much memory happens to be free, so that the same
input gives the same bits. torch.compile stays out: the full gradient differentiates twice, which it refuses
("aot_autograd does not currently support double backward", still so in torch 2.13).
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

Result = TypeVar("Result")

MIB = 2**20
# What one batch may take. On a CPU the throughput of a U-Net is level from 32 to 256 rows (measured), so more would be waste.
HOST_BUDGET = 256 * MIB
CUDA_SHARE = 0.5  # of the device's memory: the trajectory, other sessions and the convolutions' workspace need theirs
TEMPORARIES = 1.5  # what a batch takes at its peak, in units of what autograd keeps; 1.26 was measured on a U-Net
RAN_OUT = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")

_COSTS: WeakKeyDictionary[Any, dict[tuple, int]] = WeakKeyDictionary()


def budget(device: torch.device) -> int:
    """Bytes that one batch may take: PURSAMERE_MEMORY (MiB) if set, else fixed for each kind of device."""
    wanted = os.environ.get("PURSAMERE_MEMORY")
    if wanted:
        try:
            mebibytes = float(wanted)
        except ValueError:
            mebibytes = math.nan
        if not 1 <= mebibytes < math.inf:
            raise ValueError(f"PURSAMERE_MEMORY must be a number of MiB of at least 1, got {wanted!r}")
        return int(mebibytes * MIB)
    if device.type == "cuda":
        return int(CUDA_SHARE * torch.cuda.get_device_properties(device).total_memory)
    return HOST_BUDGET


def row_cost(function: Callable[[Tensor], Tensor], x: Tensor, *, owner: Any = None, order: int = 1) -> int:
    """Bytes that one more row of x (B, *) makes autograd keep for `order` derivatives of ||function(x)||^2: measured, exact.

    Measured once for each owner (the network; by default the function), row shape, dtype, device and order.
    """
    owner = function if owner is None else owner
    try:
        held = _COSTS.setdefault(owner, {})
    except TypeError:  # cannot be hashed or referred to weakly: measured each time
        held = {}
    key = (tuple(x.shape[1:]), x.dtype, x.device, order)
    if key not in held:
        row = x.detach().new_zeros(1, *x.shape[1:])
        kept = attempt(lambda: [_kept_bytes(function, torch.cat([row] * rows), order) for rows in (2, 3)])
        if kept is None:  # not even that fits now
            return sys.maxsize
        held[key] = max(kept[1] - kept[0], row.nbytes, 1)  # weights are kept once, not a row
    return held[key]


def _kept_bytes(function: Callable[[Tensor], Tensor], x: Tensor, order: int) -> int:
    """Bytes of the distinct storages that autograd keeps for `order` derivatives."""
    kept: list[list[Tensor]] = []  # in boxes, alive to the end, so that no address is used twice

    def pack(tensor: Tensor) -> list[Tensor]:
        kept.append([tensor])
        return kept[-1]

    leaf = x.requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box[0]):
        value = function(leaf)
        if order > 1:
            torch.autograd.grad(value.square().sum(), leaf, create_graph=True)
    sizes = {box[0].untyped_storage().data_ptr(): box[0].untyped_storage().nbytes() for box in kept}
    for box in (
        kept
    ):  # the graph keeps the boxes, and the tensors in them keep the graph: a circle that nobody else would break
        box.clear()
    return sum(sizes.values())


@dataclass(frozen=True)
class Cut:
    """How many images, and how many noise nodes of each, are worked on at once."""

    images: int
    nodes: int = 1

    def halved(self, like: Tensor) -> "Cut":
        """Half of it: first fewer images like `like` (B, *), then fewer nodes; ValueError where nothing is left to halve."""
        if self.images > 1:
            return Cut((self.images + 1) // 2, self.nodes)
        if self.nodes > 1:
            return Cut(1, (self.nodes + 1) // 2)
        raise ValueError(
            f"the memory of {like.device} does not hold one image of shape {tuple(like.shape[1:])}, even with one noise node "
            "at a time: lower the resolution of the images or how many are given, or set PURSAMERE_DEVICE"
        )


def fitting(cost: int, x: Tensor, nodes: int = 1) -> Cut:
    """The cut of images x (B, *) with `nodes` rows of `cost` bytes each that keeps to the budget, in even batches."""
    rows = max(1, int(budget(x.device) / (TEMPORARIES * cost)))
    if rows < nodes:
        return Cut(1, rows)
    count = max(1, len(x))
    batches = math.ceil(count / (rows // nodes))
    return Cut(math.ceil(count / batches), nodes)


def attempt(work: Callable[[], Result]) -> Result | None:
    """The result, or None if memory ran out; what the device's cache holds is then given back."""
    try:
        return work()
    except (RuntimeError, MemoryError) as problem:
        named = isinstance(problem, (torch.OutOfMemoryError, MemoryError))
        if not named and not any(words in str(problem) for words in RAN_OUT):
            raise
    # Outside the handler: the traceback there still holds the tensors.
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return None


def in_batches(work: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], cut: Cut) -> tuple[Tensor, ...]:
    """work(*inputs, nodes), each input and result (B, *), batch by batch; out of memory, the rest goes on in halves."""
    done: list[tuple[Tensor, ...]] = []
    start, count = 0, len(inputs[0])
    while start < count or not done:
        batch = [tensor[start : start + cut.images] for tensor in inputs]
        result = attempt(lambda batch=batch, nodes=cut.nodes: work(*batch, nodes))  # type: ignore[misc]
        if result is None:
            cut = cut.halved(inputs[0])
            continue
        done.append(result)
        start += cut.images
    return done[0] if len(done) == 1 else tuple(torch.cat(parts) for parts in zip(*done, strict=True))


def batched(function: Callable[[Tensor], Tensor], x: Tensor, *, owner: Any = None, most: int = 2048) -> Tensor:
    """function(x), (N, *) -> (N, *), in batches that keep to the budget and of at most `most` rows."""
    cut = fitting(row_cost(function, x, owner=owner), x)
    return in_batches(lambda batch, nodes: (function(batch),), [x], Cut(min(cut.images, most)))[0]
