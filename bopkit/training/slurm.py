"""The tasks of a SLURM step as the workers of one run."""

from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Iterator

from bopkit._tensorflow import tf


def in_a_step() -> bool:
    """Whether `srun` started this process as one of several tasks."""
    return os.environ.get("SLURM_STEP_NUM_TASKS", "1") not in ("", "0", "1")


def find_workers() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Describe the tasks of this step, and the GPUs of this task, to TensorFlow.

    TensorFlow's own resolver fails where there is no nvidia-smi, sorts n10 before n9, which SLURM
    does not, counts a task's GPUs from 0 where SLURM gave it others, and has all jobs of a node
    take the same port.

    Raises:
        KeyError: a variable that `srun` sets is missing.
        ValueError: the variables contradict each other, or the GPUs do not divide over the tasks.
    """
    nodes = list(expand(os.environ["SLURM_STEP_NODELIST"]))
    counts = re.findall(r"(\d+)(?:\(x(\d+)\))?", os.environ["SLURM_STEP_TASKS_PER_NODE"])
    tasks = [int(count) for count, times in counts for _ in range(int(times or 1))]
    places = [(n, i) for n, count in enumerate(tasks) for i in range(count)]
    rank, node = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NODEID"])
    if len(nodes) != len(tasks) or not rank < len(places) or places[rank][0] != node:
        raise ValueError("its tasks must fill one node after the other: --distribution=block")
    # Jobs may share a node. From 10,000 on, and below the ports that Linux hands out by itself.
    step = f"{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}"
    port = 10_000 + zlib.crc32(step.encode()) % 20_000
    addresses = [f"{nodes[n]}:{port + number}" for number, (n, _) in enumerate(places)]
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=rank,
        num_accelerators={"GPU": _share_gpus(places[rank][1], tasks[node])},
        rpc_layer="grpc",
    )


def _share_gpus(task, tasks):
    """Leave this task its part of the node's GPUs, unless SLURM has bound them; how many."""
    gpus = tf.config.get_visible_devices("GPU")
    if tasks > 1 and len(gpus) > 1 and "SLURM_GPUS_PER_TASK" not in os.environ:
        if len(gpus) % tasks:
            raise ValueError(f"{len(gpus)} GPUs do not divide over the {tasks} tasks of a node")
        part = len(gpus) // tasks
        gpus = gpus[task * part : (task + 1) * part]
        tf.config.set_visible_devices(gpus, "GPU")
    return len(gpus)


def expand(names: str) -> Iterator[str]:
    """Write out a list of nodes.

    >>> list(expand("gpu[09-10,12],login"))
    ['gpu09', 'gpu10', 'gpu12', 'login']
    """
    for name in re.findall(r"(?:\[.*?\]|[^,\[])+", names):
        pieces = re.split(r"\[(.*?)\]", name)  # every second one is a list of numbers
        choices = [_numbers(p) if i % 2 else [p] for i, p in enumerate(pieces)]
        yield from map("".join, itertools.product(*choices))


def _numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield str(number).zfill(len(first))
