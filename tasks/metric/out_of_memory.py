"""Which errors mean that memory ran out, on a GPU or a CPU, and how they are told to a person."""

from collections.abc import Callable
from typing import TypeVar

import torch

from tasks.errors import OutOfMemory
from tasks.metric.node_job import NodeJob

# Torch has a class of its own for its allocator on a GPU only: what it says elsewhere, as far as it is known.
SAID = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(said in str(error) for said in SAID)


def memory_checked(job: NodeJob, work: Callable[[], T]) -> T:
    """What `work` returns.

    Args:
        job: whose work it is.
        work: to be done.

    Raises:
        OutOfMemory: memory ran out; what `work` had made is freed.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Not where the error is caught: it would come along, and with it the tensors of every call that it passed.
    raise out_of_memory(job)


def out_of_memory(job: NodeJob, tried: str = "") -> OutOfMemory:
    """The error of a training that has too little memory.

    Args:
        job: whose training.
        tried: what was of no use, such as ", also in ...".
    """
    options = job.options
    return OutOfMemory(
        f"node {job.node!r} ran out of memory on {options.device} with batches of {options.batch} pictures of "
        f"{options.size} x {options.size} pixels{tried}"
    )
