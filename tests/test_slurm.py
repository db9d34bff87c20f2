"""The scripts for SLURM do what they say, under SLURM itself: two nodes on this machine."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bopkit import records

SCRIPTS = Path(__file__).resolve().parents[1] / "examples" / "slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
SMALL = ["--dataset", "digits", "--train-examples", "200", "--validation-examples", "50"]
SHAPE = "filters=8,dense_units=32,batch_size=100"

# Debian's slurmd runs several times on one machine. The nodes' names are addresses, because the
# tasks of a run must find each other by them. Each claims what the scripts ask for; its GPU is a
# device that does nothing.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
KillWait=5
GresTypes=gpu
NodeName=127.0.0.1 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[1]} {node}
NodeName=127.0.0.2 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[2]} {node}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=gpu Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=2
"""
NODE = "CPUs=16 RealMemory=100000 Gres=gpu:1"
GPUS = """
NodeName=127.0.0.1 Name=gpu File=/dev/null
NodeName=127.0.0.2 Name=gpu File=/dev/zero
"""

pytestmark = pytest.mark.slow


class Slurm:
    """A cluster of this test's own, by its commands."""

    def __init__(self, folder):
        self.folder = folder
        # These tests may themselves be a job.
        kept = {k: v for k, v in os.environ.items() if not re.match("(SLURM|SBATCH|SRUN)_", k)}
        self.env = kept | {"SLURM_CONF": str(folder / "slurm.conf")}

    def call(self, *command, **env):
        done = subprocess.run(
            [*map(str, command)],
            env=self.env | env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, script, *arguments, options=(), **env):
        """The number of a new job, whose runs go below the folder RUNS."""
        command = ["sbatch", "--parsable", *options, SCRIPTS / script, *arguments]
        return self.call(*command, VENV=sys.prefix, **env).strip()

    def show(self, job):
        """What SLURM knows of each task of a job."""
        rows = self.call("scontrol", "--oneliner", "show", "job", job).splitlines()
        return [dict(re.findall(r"(\w+)=(\S+)", row)) for row in rows if row]

    def printed(self, job):
        """What the tasks of a job have printed so far, from all its files."""
        files = sorted(self.folder.glob(f"*-{job}*.out"))
        return "".join(path.read_text() for path in files)

    def wait(self, job, seconds=300):
        """Until a job has ended: how, and its exit code, for each of its tasks."""
        ends = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
        self.wait_until(lambda: {t["JobState"] for t in self.show(job)} <= ends, job, seconds)
        return [(t["JobState"], int(t["ExitCode"].partition(":")[0])) for t in self.show(job)]

    def wait_until(self, condition, job, seconds=240):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{self.show(job)}\n{self.printed(job)}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory, require):
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    require(not missing, f"not installed: {', '.join(missing)} (apt install slurm-wlm munge)")
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    with contextlib.ExitStack() as free:
        sockets = [free.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [one.getsockname()[1] for one in sockets]
    user = pwd.getpwuid(os.getuid()).pw_name
    text = CONFIGURATION.format(ports=ports, user=user, folder=folder, node=NODE)
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(GPUS)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    places = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid"}
    places |= {"log-file": "munge.log", "seed-file": "munge.seed"}
    munged = [f"--{option}={folder / name}" for option, name in places.items()]
    cluster = Slurm(folder)
    with contextlib.ExitStack() as running:

        def start(*command):
            log = running.enter_context((folder / f"{command[0]}.log").open("a"))
            process = subprocess.Popen(
                command, env=cluster.env | {"PATH": path}, stdout=log, stderr=log, cwd=folder
            )
            running.callback(end, process)

        start("munged", "--foreground", "--force", *munged)
        await_line(lambda: (folder / "munge.socket").exists(), folder)
        start("slurmctld", "-D", "-c")
        start("slurmd", "-D", "-N", "127.0.0.1")
        start("slurmd", "-D", "-N", "127.0.0.2")
        await_line(lambda: both_idle(cluster), folder)
        running.callback(cancel_all, cluster)
        yield cluster


def both_idle(cluster):
    with contextlib.suppress(AssertionError):  # the controller does not answer yet
        return cluster.call("sinfo", "--noheader", "--format=%T %D") == "idle 2\n"


def await_line(condition, folder):
    deadline = time.monotonic() + 120
    while not condition():
        logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, logs
        time.sleep(0.1)


def cancel_all(cluster):
    """No job outlives its cluster: what a job started is no child of this process."""
    cluster.call("scancel", "--user", pwd.getpwuid(os.getuid()).pw_name)
    deadline = time.monotonic() + 60
    while cluster.call("squeue", "--noheader") and time.monotonic() < deadline:
        time.sleep(0.2)


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_one_gpu_runs_to_the_end_and_again_at_once(slurm, tmp_path):
    arguments = [*SMALL, "--hparams", f"epochs=1,{SHAPE}"]
    for said in ("epoch 1/1", "complete: nothing to do"):
        job = slurm.submit("one_gpu.sh", *arguments, RUNS=str(tmp_path))
        assert slurm.wait(job) == [("COMPLETED", 0)], slurm.printed(job)
        assert said in slurm.printed(job)
    assert records.read(tmp_path / "one_gpu")["status"] == "completed"


def test_each_task_of_an_array_runs_one_setting_with_one_seed(slurm, tmp_path):
    job = slurm.submit(
        "sweep_array.sh",
        *SMALL,
        *("--holdout", "50"),
        options=["--array=0,8,9"],
        HPARAMS=f"epochs=1,{SHAPE}",
        RUNS=str(tmp_path),
    )
    ends = sorted(slurm.wait(job))
    assert ends == [("COMPLETED", 0), ("COMPLETED", 0), ("FAILED", 2)], slurm.printed(job)
    assert "no setting for task 9" in slurm.printed(job)
    found = {path.name: records.read(path) for path in (tmp_path / "sweep").iterdir()}
    assert found.keys() == {"gamma=1e-2-seed0", "gamma=1e-4-seed2"}
    assert {(r["config"]["gamma"], r["seed"]) for r in found.values()} == {(1e-2, 0), (1e-4, 2)}
    assert all(r["status"] == "completed" for r in found.values())


@pytest.mark.parametrize("option", ["--hparams", "--seed=1", "--output-dir"])
def test_an_array_refuses_what_each_task_sets(option):
    """Otherwise every task would train one setting, or write to one folder."""
    done = subprocess.run(
        ["bash", SCRIPTS / "sweep_array.sh", option, "epochs=20"],
        env=os.environ | {"SLURM_ARRAY_TASK_ID": "0", "SLURM_CPUS_PER_TASK": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and option.partition("=")[0] in done.stderr


def test_two_nodes_train_one_run_together(slurm, tmp_path):
    arguments = [*SMALL, "--hparams", f"epochs=1,{SHAPE}"]
    job = slurm.submit("two_nodes.sh", *arguments, RUNS=str(tmp_path))
    assert slurm.wait(job) == [("COMPLETED", 0)], slurm.printed(job)
    assert slurm.show(job)[0]["NodeList"] == "127.0.0.[1-2]"
    record = records.read(tmp_path / "two_nodes")
    assert record["status"] == "completed" and record["hardware"]["replicas"] == 2
    assert record["config"]["steps_per_epoch"] == 2  # of 100 images, 50 on each node
    assert slurm.printed(job).count("epoch 1/1") == 1


def start_to_requeue(slurm, folder, epochs):
    """A job of requeue.sh that has trained two of its epochs."""
    arguments = [*SMALL, "--hparams", f"epochs={epochs},{SHAPE}"]
    job = slurm.submit("requeue.sh", *arguments, RUNS=str(folder))
    wait_for_epochs(slurm, job, folder, 2)
    return job


def wait_for_epochs(slurm, job, folder, number):
    record = folder / "requeue" / "run.json"
    slurm.wait_until(lambda: record.exists() and len(records.read(record)["epochs"]) >= number, job)


def wait_in_queue(slurm, job, folder):
    """Until the interrupted job is back in the queue; what its run has left."""
    slurm.wait_until(lambda: slurm.show(job)[0]["JobState"] == "PENDING", job)
    # Not in two minutes; but the node starts no job in the second in which it has ended it.
    slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now+2")
    return records.read(folder / "requeue")


def test_a_job_that_is_warned_requeues_itself_and_resumes(slurm, tmp_path):
    """By hand, as --signal does: SLURM looks at time limits every half minute."""
    job = start_to_requeue(slurm, tmp_path, epochs=30)
    slurm.call("scancel", "--signal=TERM", job)
    assert wait_in_queue(slurm, job, tmp_path)["error"] == "interrupted"
    assert slurm.wait(job) == [("COMPLETED", 0)], slurm.printed(job)
    assert slurm.show(job)[0]["Restarts"] == "1"
    record = records.read(tmp_path / "requeue")
    assert record["status"] == "completed" and len(record["epochs"]) == 30
    first, second = record["starts"]
    assert first["from_epoch"] == 0 and 2 <= second["from_epoch"] < 30


def test_a_job_that_is_preempted_resumes_and_one_that_is_cancelled_ends(slurm, tmp_path):
    job = start_to_requeue(slurm, tmp_path, epochs=1000)
    options = ["--partition=urgent", "--nodes=2", "--gres=gpu:1", "--wrap=true"]
    slurm.wait(slurm.call("sbatch", "--parsable", *options).strip())
    left = wait_in_queue(slurm, job, tmp_path)
    assert left["error"] == "interrupted"
    wait_for_epochs(slurm, job, tmp_path, len(left["epochs"]) + 2)
    slurm.call("scancel", job)
    assert [state for state, _ in slurm.wait(job)] == ["CANCELLED"], slurm.printed(job)
    time.sleep(1)  # the script could ask for another start now
    shown = slurm.show(job)[0]
    assert shown["JobState"] == "CANCELLED" and shown["Restarts"] == "1"
    record = records.read(tmp_path / "requeue")
    assert record["error"] == "interrupted"
    assert [start["from_epoch"] >= 2 for start in record["starts"]] == [False, True]
