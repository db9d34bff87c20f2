"""Where a run computes: one device, the GPUs of one machine, or several machines."""

from __future__ import annotations

import dataclasses
import os
import re

from bopkit._support.text import note
from bopkit._tensorflow import tf
from bopkit.errors import ConfigError, one_line
from bopkit.training import slurm

# Of a cluster that is described wrongly, or that TensorFlow cannot make any more.
_NOT_JOINED = (AttributeError, KeyError, TypeError, ValueError, RuntimeError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The devices of a run, and this process' place among the processes that share it.

    Attributes:
        strategy: the `tf.distribute.Strategy`.
        worker: this process' number, from 0; worker 0, the chief, writes the record. A cluster's
            task of the type "chief" is worker 0.
        workers: how many processes there are.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.worker == 0

    def batches(self, dataset: tf.data.Dataset, batch_size: int):
        """Hand a worker's batches to its replicas.

        Args:
            dataset: this worker's part of each global batch.
            batch_size: images per global batch.

        Returns:
            A distributed dataset.
        """
        replicas = self.strategy.num_replicas_in_sync
        if replicas > self.workers:
            dataset = dataset.rebatch(batch_size // replicas)
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)

    def agree(self, value: int) -> int:
        """The chief's value, on every worker.

        What depends on a clock (when to save, how long to compute before looking up) must be
        decided by one worker: the others would wait for each other at different steps.
        """
        return int(self._sum(value if self.chief else 0))

    def any(self, flag: bool) -> bool:
        """Tell every worker whether the flag is set on at least one worker.

        If only one worker stopped, the others would wait for it.
        """
        return bool(self._sum(int(flag)))

    def _sum(self, value):
        return value if self.workers == 1 else self._add(tf.constant(value, tf.int64))

    @tf.function
    def _add(self, value):
        values = self.strategy.run(tf.identity, args=(value,))
        total = self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        return total // (self.strategy.num_replicas_in_sync // self.workers)


def find_cluster(batch_size: int) -> Cluster:
    """Find the devices that the environment offers.

    If ``TF_CONFIG`` is set, they are its machines. Else, if a SLURM step has more than one task,
    they are the step's tasks. Else, if this machine has several GPUs, they are the largest number
    of GPUs that divides the batch. Else they are TensorFlow's default device. TensorFlow takes
    several machines only before it has computed anything.

    Args:
        batch_size: the global batch; over the replicas of several machines it must divide.

    Returns:
        The cluster.

    Raises:
        ConfigError: `batch_size` does not divide, or the cluster cannot be joined.
    """
    cluster = _find(batch_size)
    replicas = cluster.strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ConfigError(
            f"batch_size is the global batch and must divide evenly over the {replicas} replicas; "
            f"{batch_size} does not: use a multiple of {replicas}."
        )
    return cluster


def _find(batch_size) -> Cluster:
    find_workers = None
    if os.environ.get("TF_CONFIG"):
        find_workers = tf.distribute.cluster_resolver.TFConfigClusterResolver
    elif slurm.in_a_step():
        find_workers = slurm.find_workers
    if find_workers is not None:
        try:
            resolver = find_workers()
            worker, workers = _find_place(resolver)
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        except tf.errors.UnknownError as error:
            raise ConfigError(
                "cannot join the cluster of TF_CONFIG or SLURM: this task's own port cannot be "
                f"opened ({one_line(error)}); another process may have it, so choose another port."
            ) from error
        except _NOT_JOINED as error:
            raise ConfigError(
                "cannot join the cluster of TF_CONFIG or SLURM; it must name the workers and "
                f"this task, before TensorFlow has computed anything ({one_line(error)})."
            ) from error
        return Cluster(strategy, worker, workers)
    gpus = len(tf.config.get_visible_devices("GPU"))
    used = max((n for n in range(1, gpus + 1) if batch_size % n == 0), default=0)
    if used < gpus:
        note(
            f"batch_size {batch_size} does not divide evenly over {gpus} GPUs, so training uses "
            f"{used}."
        )
    if used > 1:
        return Cluster(tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(used)]))
    return Cluster(tf.distribute.get_strategy())


def _find_place(resolver) -> tuple[int, int]:
    """This process' number among the workers, and how many they are; ValueError if it has none.

    A chief is the first of them, as TensorFlow documents it.
    """
    jobs = resolver.cluster_spec().as_dict()
    if not jobs.keys() <= {"chief", "worker"}:
        raise ValueError(f"it may have a chief and workers, and has {', '.join(jobs)}")
    if len(jobs.get("chief", ())) > 1:
        raise ValueError("it has more than one chief")
    if any(isinstance(addresses, dict) for addresses in jobs.values()):
        raise ValueError("its tasks must be a list, without a gap")
    tasks = [(job, number) for job in sorted(jobs) for number in range(len(jobs[job]))]
    addresses = [jobs[job][number] for job, number in tasks]
    for address in addresses:
        port = re.fullmatch(r"\S+:(\d{1,5})", address)
        if not port or not 0 < int(port[1]) < 2**16:
            raise ValueError(f"{address!r} is no address, such as node1:12345")
    if len(set(addresses)) < len(addresses):
        raise ValueError("two tasks have one address")
    this = (resolver.task_type, resolver.task_id)
    if this not in tasks:
        there = ", ".join(f"{job} {number}" for job, number in tasks)
        raise ValueError(f"the task {this[0]} {this[1]} is not in it; there are: {there}")
    return tasks.index(this), len(tasks)
