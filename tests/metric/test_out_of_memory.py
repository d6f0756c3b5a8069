import gc
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import InputError, OutOfMemory
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.out_of_memory import is_out_of_memory, memory_checked, out_of_memory

JOB = NodeJob(node="hair", key="k", folder=Path("k"), options=TrainingOptions(batch=32, size=64))


def error_of_torch() -> RuntimeError:
    """What torch really says on a CPU."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    return caught.value


def error_of_numpy() -> MemoryError:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, dtype=np.uint8)
    return caught.value


def test_errors_of_torch_and_numpy_are_known() -> None:
    for error in (
        error_of_torch(),
        error_of_numpy(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ):
        assert is_out_of_memory(error), error


def test_other_errors_are_none_of_these() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    for error in (caught.value, RuntimeError("CUDA error: device-side assert triggered"), OSError(28, "No space left")):
        assert not is_out_of_memory(error), error


def test_the_sentence_says_node_batch_size_device_and_what_would_do() -> None:
    def run_out() -> None:
        raise error_of_torch()

    with pytest.raises(OutOfMemory) as caught:
        memory_checked(JOB, run_out)
    assert isinstance(caught.value, InputError)
    assert str(caught.value) == (
        "node 'hair' ran out of memory on cpu with batches of 32 pictures of 64 x 64 pixels: "
        "a smaller --batch or --size would do, or a device with more memory"
    )
    assert ", also in pairs: a smaller --batch" in str(out_of_memory(JOB, ", also in pairs"))


def test_it_comes_back_from_another_process_whole() -> None:
    error = out_of_memory(JOB, ", also in pairs")
    again = pickle.loads(pickle.dumps(error))  # as Dask sends it
    assert type(again) is OutOfMemory
    assert (str(again), again.args) == (str(error), error.args)


def test_what_is_no_want_of_memory_passes_and_so_does_a_result() -> None:
    def fail() -> None:
        raise RuntimeError("device-side assert")

    with pytest.raises(RuntimeError, match="device-side assert"):
        memory_checked(JOB, fail)
    assert memory_checked(JOB, lambda: 3) == 3


def test_the_error_holds_on_to_nothing_that_filled_the_memory() -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    def run_out() -> None:
        activations = torch.ones(8)
        kept.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    gc.disable()  # freed at once, not when Python comes to it
    try:
        with pytest.raises(OutOfMemory) as caught:
            memory_checked(JOB, run_out)
        assert kept[0]() is None
    finally:
        gc.enable()
    assert caught.value.__context__ is None
