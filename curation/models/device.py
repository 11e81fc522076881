"""Which device a model runs on: the GPU that Spark gave the task, else the first one there is, else the CPU."""

import os
import sys


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
