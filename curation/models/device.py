"""Which device a model runs on: the GPU that Spark gave the task, else the first one there is, else the CPU.

And how many rows it takes at a time there. A vector's last bits depend on the size of its batch, so that size is found
from the model's arithmetic alone: a search by time would give other bytes in another run.
"""

import os
import sys
from typing import Any

# Arithmetic of a GPU's batch: some 10 ms at what a data-centre GPU reaches in half precision, beside which the
# launches of a tower's few hundred kernels (about 1 ms) are small. An assumption, not searched.
_BATCH_FLOPS = 4e12
# At least and at most: of the 256 pictures read together (curation.compute) half are resized while the model has half.
_GPU_BATCHES = (16, 128)


def gpu_batch(model: Any, device: str) -> int:
    """Rows of a batch of open_clip's `model` on a GPU: a power of two, by what a picture costs its image tower.

    Of CLIP's towers at 224 px 128 for ViT-B/32, 64 for ViT-B/16, 16 for ViT-L/14.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # With gradients: without them attention is one fused kernel that the counter does not know.
    side = model.visual.image_size
    picture = torch.zeros(1, 3, *(side if isinstance(side, tuple) else (side, side)), device=device)
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        model.encode_image(picture)
    least, most = _GPU_BATCHES
    rows = max(1, int(_BATCH_FLOPS / max(1, counter.get_total_flops())))
    return min(most, max(least, 1 << (rows.bit_length() - 1)))


def task_device() -> str:
    """`cuda:N` or `cpu`. Without a GPU among the task's resources (spark.task.resource.gpu.amount): the first one."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{device_index(task_addresses(), os.environ.get('CUDA_VISIBLE_DEVICES'), torch.cuda.device_count())}"


def task_addresses() -> list[str]:
    """Addresses of the GPUs that Spark gave the task that runs here; none outside of Spark."""
    spark = sys.modules.get("pyspark.taskcontext")
    task = spark.TaskContext.get() if spark else None
    given = task.resources().get("gpu") if task is not None else None
    return list(given.addresses) if given is not None else []


def device_index(addresses: list[str], visible: str | None, count: int) -> int:
    """The number by which this process knows the first of these GPUs, of `count` that it sees.

    Spark's discovery script counts the machine's GPUs, CUDA those left visible; 0 where the address fits neither.

    >>> device_index(["3"], None, 8), device_index(["3"], "2,3", 2), device_index(["1"], "4,5", 2)
    (3, 1, 1)
    >>> device_index(["GPU-7f"], "GPU-1a,GPU-7f", 2), device_index(["5"], None, 1), device_index([], "", 1)
    (1, 0, 0)
    """
    if not addresses:
        return 0
    listed = [each.strip() for each in (visible or "").split(",")]
    if addresses[0] in listed:
        return listed.index(addresses[0])
    return int(addresses[0]) if addresses[0].isdigit() and int(addresses[0]) < count else 0
