"""A SLURM step becomes a cluster: who is who, at which address, with which GPUs."""

import pytest
import tensorflow as tf

from bopkit.errors import ConfigError
from bopkit.training import devices, slurm

STEP = {
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "n[9-10]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
}


@pytest.fixture
def join(monkeypatch):
    """`join(rank, node, **variables)`: how this task would describe its step."""

    def call(rank, node, **variables):
        place = {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(node)}
        for name, value in (STEP | place | variables).items():
            monkeypatch.setenv(name, value)
        return slurm.find_workers()

    monkeypatch.delenv("SLURM_GPUS_PER_TASK", raising=False)
    return call


@pytest.fixture
def gpus(monkeypatch):
    """No GPU at hand: TensorFlow's lists are stood in for. What a task has left itself."""
    left = [f"GPU:{number}" for number in range(4)]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(left))

    def keep(devices, kind):
        left[:] = devices

    monkeypatch.setattr(tf.config, "set_visible_devices", keep)
    return left


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("n1", ["n1"]),
        ("gpu[09-11,20],login", ["gpu09", "gpu10", "gpu11", "gpu20", "login"]),
        ("a-[1-2]-ib,10.0.0.[7-8]", ["a-1-ib", "a-2-ib", "10.0.0.7", "10.0.0.8"]),
        ("r[0-1]n[1-2]", ["r0n1", "r0n2", "r1n1", "r1n2"]),
    ],
)
def test_a_list_of_nodes_is_written_out(names, expected):
    assert list(slurm.expand(names)) == expected


def test_every_task_has_its_node_in_slurms_order_and_a_port_of_its_own(join):
    found = [join(rank, node) for rank, node in ((0, 0), (1, 0), (2, 1))]
    assert [(r.task_type, r.task_id) for r in found] == [("worker", n) for n in range(3)]
    addresses = found[0].cluster_spec().as_dict()["worker"]
    assert all(r.cluster_spec().as_dict()["worker"] == addresses for r in found)
    nodes, ports = zip(*(address.split(":") for address in addresses), strict=True)
    assert nodes == ("n9", "n9", "n10")  # by name, n10 would come first
    assert len(set(ports)) == 3 and all(10_000 <= int(port) < 30_003 for port in ports)


def test_two_jobs_of_one_node_take_different_ports(join):
    ports = {str(join(0, 0, SLURM_JOB_ID=str(job)).cluster_spec()) for job in range(5)}
    assert len(ports) == 5


def test_the_tasks_of_a_node_share_its_gpus(join, gpus):
    assert join(1, 0).num_accelerators() == {"GPU": 2}
    assert gpus == ["GPU:2", "GPU:3"]


@pytest.mark.parametrize(
    ("rank", "node", "variables"), [(2, 1, {}), (1, 0, {"SLURM_GPUS_PER_TASK": "4"})]
)
def test_gpus_that_are_a_tasks_own_stay_so(join, gpus, rank, node, variables):
    """Alone on its node; or where SLURM has bound each task to its GPUs."""
    assert join(rank, node, **variables).num_accelerators() == {"GPU": 4}
    assert len(gpus) == 4


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"SLURM_NODEID": "1"}, "must fill one node after the other"),
        ({"SLURM_STEP_TASKS_PER_NODE": "3"}, "must fill one node after the other"),
        ({"SLURM_PROCID": "3"}, "must fill one node after the other"),
        ({"SLURM_STEP_TASKS_PER_NODE": "3,1"}, "4 GPUs do not divide over the 3 tasks"),
        ({"SLURM_PROCID": "first"}, "first"),
    ],
)
def test_a_step_that_does_not_fit_is_one_line(join, gpus, variables, reason):
    with pytest.raises((ValueError, KeyError)):
        join(0, 0, **variables)
    with pytest.raises(ConfigError, match=f"cannot join the cluster .*{reason}") as caught:
        devices.find_cluster(50)
    assert "\n" not in str(caught.value)
