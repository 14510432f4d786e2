"""Several processes that train one network, on one machine or many, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which alone renders data and validates."""


@contextmanager
def process_group() -> Iterator[None]:
    """Joins the processes that torchrun started, by NCCL where there are GPUs, else by Gloo; alone, does nothing."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """Which of the processes this is; 0 writes, prints and validates."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does the block, then the others do."""
    if rank() != 0:
        distributed.barrier()
    yield
    if rank() == 0 and count() > 1:
        distributed.barrier()


def mean_over_processes(value: Tensor) -> Tensor:
    """Of a number that every process has."""
    if count() > 1:
        distributed.all_reduce(value)
        value = value / count()
    return value


def device() -> torch.device:
    """The GPU of this process where torch has one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def has_bf16() -> bool:
    """Whether the device of this process computes in BF16 rather than imitating it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def loader_workers() -> int:
    """Processes that prepare batches, for each process that trains: a GPU takes all the cores there are for it."""
    if not torch.cuda.is_available():
        return 1
    return max(1, min(12, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) - 1))
