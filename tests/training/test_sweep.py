"""Sweeps: what is run, what is kept, what is tried again, here and on a Dask cluster."""

import contextlib
import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import SimpleNamespace
from unittest import mock

import joblib
import pytest
import small_records
from small_runs import two_layers

import bopkit
from bopkit import experiments, models, records
from bopkit._support.files import only_one
from bopkit._tensorflow import tf
from bopkit.errors import ConfigError, TrainingError
from bopkit.training import sweep, variations

SMALL = {"epochs": 1, "filters": 8, "dense_units": 32, "batch_size": 100}
BASE = experiments.override(experiments.get("binarynet/bop"), SMALL)
DATA = {"dataset": "digits", "train_examples": 200, "validation_examples": 50}


def test_its_options_are_the_arguments_of_train_that_it_does_not_give():
    given = {"experiment", "output_dir", "seed", "progress"}
    assert set(sweep.OPTIONS) == inspect.signature(bopkit.train).parameters.keys() - given


def test_a_sweep_starts_no_more_runs_than_it_may_use_cores(monkeypatch, tmp_path):
    asked = []

    def nothing_runs(n_jobs, **_):
        asked.append(n_jobs)
        return lambda calls: []

    monkeypatch.setattr(joblib, "Parallel", nothing_runs)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])
    runs = variations.vary(BASE, {"gamma": (1e-2, 1e-3)})
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # what binder/start sets
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "8")
    have_gpus(monkeypatch, 1)
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path)  # one alone: its memory holds one
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path, jobs=2)
    have_gpus(monkeypatch, 8)
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path)
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path, gpus_per_run=8)
    assert asked == [1, 1, 2, 2, 1]
    for name, wrong in (("jobs", "2"), ("jobs", 1.5), ("retries", None), ("retries", True)):
        with pytest.raises(ConfigError, match=f"{name} must be a whole number of at least"):
            sweep.sweep(runs, output_dir=tmp_path, **{name: wrong})
    for wrong in (0, 9, "2"):
        with pytest.raises(ConfigError, match="gpus_per_run must be from 1 to the 8 GPUs"):
            sweep.sweep(runs, output_dir=tmp_path, gpus_per_run=wrong)


@pytest.mark.parametrize(("jobs", "threads"), [(1, 8), (2, 4), (4, 4), (100, 4)])
def test_the_runs_that_there_are_share_all_cores(monkeypatch, tmp_path, jobs, threads):
    given = []

    def nothing_runs(n_jobs, **_):
        return lambda calls: given.extend(words["threads"] for *_, words in calls) or []

    monkeypatch.setattr(joblib, "Parallel", nothing_runs)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    runs = variations.vary(BASE, {"gamma": (1e-2, 1e-3)})
    with pytest.raises(TrainingError):
        sweep.sweep(runs, output_dir=tmp_path, jobs=jobs, retries=0)
    assert given == [threads] * 2


def joblib_that(monkeypatch, *tries):
    """Let joblib return this, one list of results per try; an exception ends the list."""
    tries = iter(tries)

    def parallel(calls):
        for result in next(tries):
            if isinstance(result, Exception):
                raise result
            yield result

    monkeypatch.setattr(joblib, "Parallel", lambda **_: parallel)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])


IN_FLOAT32 = {"run": (experiments.override(BASE, {"precision": "float32"}), 0)}
ENDED = ("run", small_records.record(), None, False)


def test_a_run_that_failed_and_then_ended_is_no_failure(monkeypatch, tmp_path):
    (tmp_path / "run").mkdir()
    records.write(tmp_path / "run", small_records.record())
    joblib_that(monkeypatch, [("run", None, "no memory", False)], [ENDED])
    assert sweep.sweep(IN_FLOAT32, output_dir=tmp_path) == [small_records.record()]


@pytest.mark.parametrize("retries", [0, 1, 2])
@pytest.mark.parametrize("hopeless", [False, True])
def test_a_run_is_retried_as_often_as_asked_but_not_in_vain(
    monkeypatch, tmp_path, retries, hopeless
):
    tries = []

    def fail(calls):
        tries.append(len(list(calls)))
        return [("run", None, "no memory", hopeless)]

    joblib_that(monkeypatch)
    monkeypatch.setattr(joblib, "Parallel", lambda **_: fail)
    with pytest.raises(TrainingError, match=r"failed \(run: no memory\)"):
        sweep.sweep(IN_FLOAT32, output_dir=tmp_path, retries=retries)
    assert tries == [1] * (1 if hopeless else retries + 1)


def test_a_record_in_the_folder_of_a_run_that_did_not_end_is_not_its_own(monkeypatch, tmp_path):
    (tmp_path / "run").mkdir()
    records.write(tmp_path / "run", small_records.record())
    dead = [RuntimeError("a worker died")]
    joblib_that(monkeypatch, dead, dead)
    with pytest.raises(TrainingError, match=r"failed \(run: its worker died\)"):
        sweep.sweep(IN_FLOAT32, output_dir=tmp_path)


def test_an_error_of_report_is_the_callers(monkeypatch, tmp_path):
    def report(line):
        raise KeyError(line)

    joblib_that(monkeypatch, [ENDED])
    with pytest.raises(KeyError, match=r"run: validation top-1 75\.00%"):
        sweep.sweep(IN_FLOAT32, output_dir=tmp_path, report=report)


def test_a_complete_run_counts_by_its_record_and_another_configuration_does_not(tmp_path):
    """Committed results have neither the model nor the checkpoints."""
    options = {"output_dir": tmp_path, "jobs": 1, "retries": 0, "report": lambda line: None}
    with mock.patch.dict(models.NETWORKS, binarynet=two_layers):
        (trained,) = sweep.sweep(IN_FLOAT32, **options, **DATA)
        shutil.rmtree(tmp_path / "run" / "checkpoints")
        (tmp_path / "run" / "model.keras").unlink()
        written = (tmp_path / "run" / "run.json").stat().st_mtime_ns
        assert sweep.sweep(IN_FLOAT32, **options, **DATA) == [trained]
        for other in ({"hparams": {"gamma": 0.5}}, {"holdout": 100}):
            with pytest.raises(TrainingError, match="holds a run with another configuration"):
                sweep.sweep(IN_FLOAT32, **options, **DATA, **other)
    assert (tmp_path / "run" / "run.json").stat().st_mtime_ns == written
    assert not (tmp_path / "run" / "model.keras").exists()


def have_gpus(monkeypatch, number):
    gpus = [SimpleNamespace(name=f"GPU:{n}") for n in range(number)]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: gpus)


@pytest.mark.slow
def test_each_run_of_a_node_gets_a_gpu_of_its_own(monkeypatch, tmp_path):
    """Its workers train on the processor here, and their records say what they were given."""
    have_gpus(monkeypatch, 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")  # what a scheduler leaves to this job
    runs = variations.vary(BASE, {"gamma": (1e-2, 1e-3)})
    for wanted, given in ((1, {"4", "5"}), (2, {"4,5"})):
        folder = tmp_path / str(wanted)
        options = {"jobs": 2, "gpus_per_run": wanted, "retries": 0}
        found = sweep.sweep(runs, output_dir=folder, **options, **DATA)
        hardware = [record["hardware"] for record in found]
        assert {h["cuda_visible_devices"] for h in hardware} <= given | {"7,4"}
        assert [h["replicas"] for h in hardware] == [1, 1]


def test_runs_in_a_process_that_computes_on_all_gpus_are_refused(monkeypatch, tmp_path):
    have_gpus(monkeypatch, 2)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    too_late = mock.Mock(side_effect=RuntimeError("cannot be modified after being initialized"))
    monkeypatch.setattr(tf.config, "set_visible_devices", too_late)
    with pytest.raises(ConfigError, match=r"uses all 2 GPUs in this process.*gpus_per_run to 2"):
        sweep.sweep(IN_FLOAT32, output_dir=tmp_path, jobs=1)
    too_late.assert_called_once_with(["first"], "GPU")


def test_a_process_takes_the_gpus_of_one_that_died(run_python, tmp_path):
    code = """
import os, sys
from bopkit.training import sharing
sharing.claim(sys.argv[1], ("4", "5", "7"), 1)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read() if len(sys.argv) > 2 else os.abort()
"""
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "waits"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "4\n"
    for _ in range(2):  # the second dies, and leaves its place to the third
        assert run_python(code, str(tmp_path)).stdout == "5\n"
    first.communicate()
    assert run_python(code, str(tmp_path)).stdout == "4\n"


@pytest.mark.slow
def test_failures_are_tried_again_and_reported_the_others_kept(tmp_path):
    """One run cannot be: its folder is a file. The other ends, and is not run a second time."""
    runs = variations.vary(BASE, {"gamma": (1e-2, 1e-3)})
    bad, good = runs
    (tmp_path / bad).write_text("")
    lines = []
    with pytest.raises(TrainingError, match=rf"1 of 2 runs failed \({bad}: cannot make the folder"):
        sweep.sweep(runs, output_dir=tmp_path, jobs=2, report=lines.append, **DATA)
    assert any(line.startswith(f"{good}: validation top-1") for line in lines)
    kept = (tmp_path / good / "run.json").stat().st_mtime_ns
    (tmp_path / bad).unlink()
    found = sweep.sweep(runs, output_dir=tmp_path, jobs=1, report=lines.append, **DATA)
    assert [record["config"]["gamma"] for record in found] == [1e-2, 1e-3]
    assert (tmp_path / good / "run.json").stat().st_mtime_ns == kept


class Deadly(Mapping):
    """Hyperparameters of which the first process that reads them dies."""

    def __init__(self, folder):
        self.marker = os.path.join(folder, "died")

    def __iter__(self):
        if not os.path.exists(self.marker):
            open(self.marker, "w").close()
            os._exit(9)  # as when the system takes its memory back
        return iter(())

    def __len__(self):
        return 1  # an empty one would not be looked into

    def __getitem__(self, key):
        raise KeyError(key)


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_run_one_try(tmp_path):
    runs, lines = variations.vary(BASE, {"gamma": (1e-2, 1e-3)}), []
    found = sweep.sweep(
        runs,
        output_dir=tmp_path,
        jobs=2,
        report=lines.append,
        hparams=Deadly(tmp_path),
        **DATA,
    )
    assert [record["status"] for record in found] == ["completed"] * 2
    assert any(line.startswith("the workers stopped") for line in lines)


ENDLESS = """
sweep binarynet --vary gamma=1e-2,1e-3 --jobs 2 --train-examples 100 --validation-examples 10
--hparams epochs=1000000,filters=8,dense_units=8,batch_size=100,precision=float32
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, ""),
        (signal.SIGTERM, "bopkit: stopped by the system; to resume, repeat the command.\n"),
    ],
)
def test_the_workers_of_a_sweep_that_is_killed_save_and_end(tmp_path, number, said):
    """No worker is left that holds its folder's lock."""
    command = [sys.executable, "-m", "bopkit.cli", *ENDLESS.split(), "--output-dir", tmp_path]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    folders = [tmp_path / name for name in variations.vary(BASE, {"gamma": (1e-2, 1e-3)})]
    try:
        wait_until(lambda: all(started(folder) for folder in folders), 180)
        process.send_signal(number)
        assert process.wait() == -number
        wait_until(lambda: not any(is_locked(folder) for folder in folders), 20)
    finally:
        with contextlib.suppress(ProcessLookupError):  # all of its session have ended
            os.killpg(process.pid, signal.SIGKILL)
    err = process.stderr.read()
    assert err == said if said else "Traceback" not in err
    for folder in folders:
        record = records.read(folder)
        assert (record["status"], record["error"]) == ("failed", "interrupted")
        assert list((folder / "checkpoints").glob("ckpt-*.index"))


def wait_until(true, seconds):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def started(folder):
    return (folder / "run.json").exists() and records.read(folder)["epochs"]


def is_locked(folder):
    try:
        with only_one(folder / ".lock", ConfigError("busy")):
            return False
    except ConfigError:
        return True


@pytest.mark.parametrize(
    ("parent", "threads"), [(None, None), (os.getpid(), 1)], ids=["cluster", "this process"]
)
def test_a_process_that_no_sweep_of_this_machine_started_is_left_as_it_is(
    parent, threads, monkeypatch
):
    monkeypatch.setattr(sweep, "_end_with", None)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    *_, error, hopeless = sweep._run("run", BASE, -1, ".", threads, parent, None, {})
    assert error.startswith("seed must be") and hopeless
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_a_worker_of_a_sweep_computes_on_its_share_of_the_cores(monkeypatch):
    parents = []
    monkeypatch.setattr(sweep, "_end_with", parents.append)
    with mock.patch.dict(os.environ):
        os.environ.pop("TF_NUM_INTRAOP_THREADS", None)
        sweep._run("run", BASE, -1, ".", 3, os.getppid(), None, {})
        assert os.environ["TF_NUM_INTRAOP_THREADS"] == "3"
    assert parents == [os.getppid()]


def test_a_cluster_is_not_told_how_many_cores_this_machine_has(monkeypatch, tmp_path):
    def run_nothing(calls):
        found.extend((words["threads"], words["parent"]) for *_, words in calls)
        return []

    found = []
    monkeypatch.setattr(sweep, "_backend", lambda *_: contextlib.nullcontext(run_nothing))
    with pytest.raises(TrainingError):
        sweep.sweep(IN_FLOAT32, output_dir=tmp_path, scheduler="tcp://x:1", retries=0)
    assert found == [(None, None)]


def test_a_cluster_gets_folders_by_their_whole_paths(monkeypatch, tmp_path):
    def run_nothing(calls):
        found.extend((words["output_dir"], words["options"]["data_dir"]) for *_, words in calls)
        return []

    found = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_backend", lambda *_: contextlib.nullcontext(run_nothing))
    with pytest.raises(TrainingError):
        sweep.sweep(
            IN_FLOAT32, output_dir="runs", data_dir="data", scheduler="tcp://x:1", retries=0
        )
    assert found == [(str(tmp_path / "runs"), tmp_path / "data")]


def test_an_output_folder_that_is_an_address_is_refused():
    with pytest.raises(ConfigError, match="got the address s3://b/runs"):
        sweep.sweep(variations.vary(BASE, {"gamma": [1]}), output_dir="s3://b/runs")


@pytest.mark.slow
def test_the_command_line_on_a_dask_cluster(tmp_path):
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        # a network that one machine alone would compute in bfloat16 if its CPU does
        hparams = ",".join(f"{k}={v}" for k, v in (SMALL | {"filters": 16}).items())
        command = [sys.executable, "-m", "bopkit.cli", "sweep", "--hparams", hparams]
        command += ["--vary", "gamma=1e-2,1e-3", "--scheduler", cluster.scheduler_address]
        command += ["--train-examples", "200", "--validation-examples", "50"]
        done = subprocess.run(
            [*command, "--output-dir", str(tmp_path)], capture_output=True, text=True, timeout=200
        )
    assert done.returncode == 0, done.stderr
    assert "2 runs are complete" in done.stdout
    assert {r["config"]["gamma"] for r in records.collect(tmp_path)} == {1e-2, 1e-3}
    assert {r["config"]["precision"] for r in records.collect(tmp_path)} == {"float32"}


def test_no_scheduler_there_is_one_line():
    with pytest.raises(ConfigError, match="no Dask scheduler answers at"):
        sweep.sweep(
            variations.vary(BASE, {"gamma": [1]}), output_dir=".", scheduler="127.0.0.1:port"
        )
