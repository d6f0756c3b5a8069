"""Variables of every Dask worker, set before it starts."""

WORKER_ENVIRONMENT = {
    # Dask has freed memory given back at once (64 KiB). Torch then asks the kernel for every batch's buffers anew,
    # which made a training step on a CPU three times slower.
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
