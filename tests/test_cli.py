"""The command line, as a process: what it prints, how it exits."""

import signal
import subprocess
import sys
from importlib.metadata import version

import pytest

from bopkit import records


def bopkit(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "bopkit.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=cwd,
    )


SMALL = "epochs=1,filters=8,dense_units=32,batch_size=20"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "binarynets"], "unknown network 'binarynets': did you mean binarynet"),
        (["train", "binarynet", "--hparams-set", "best"], "unknown set of hyperparameters"),
        (["train", "binarynet", "--hparams", "gama=1"], "did you mean gamma"),
        (["train", "binarynet", "--hparams", "epochs"], "--hparams takes k=v,k=v"),
        (["train", "binarynet", "--hparams", "epochs=-1"], "epochs must be at least 1"),
        (["train", "binarynet", "--dataset", "fashion-mnist"], "did you mean 'fashion_mnist'"),
        (["train", "binarynet", "--seed", "-1"], "seed must be a whole number"),
        (["train", "binarynet", "--preprocess-fn", "flip"], "preprocess must be one of"),
        (["train", "binarynet", "--train-examples", "0"], "train_examples must be between 1"),
        (["train", "binarynet", "--hparams", "batch_size=2000"], "batch_size must be between 1"),
        (["results", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(arguments, message, tmp_path):
    done = bopkit(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("bopkit: ") and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.rglob("run.json")) == []


def test_data_that_is_not_there(tmp_path):
    done = bopkit("train", "binarynet", "--dataset", "fashion_mnist", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "Fashion-MNIST is not there: looked for" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_train_with_the_released_names_then_results(tmp_path):
    command = ["train", "binarynet", "--dataset", "digits", "--preprocess-fn", "resize_and_flip"]
    command += ["--hparams-set", "bop", "--hparams", SMALL, "--seed", "2", "--no-tensorboard"]
    command += ["--train-examples", "400", "--validation-examples", "50"]
    done = bopkit(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "epoch 1/1" in done.stdout and "validation top-1" in done.stdout
    record = records.read(tmp_path / "runs" / "binarynet_bop_digits_seed2")
    assert record["config"]["train_examples"] == 400
    # the record's own command repeats the run: same folder, complete, nothing to do
    again = bopkit(*record["command"].split()[1:], cwd=tmp_path)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    table = bopkit("results", "runs", cwd=tmp_path)
    assert "binarynet/bop" in table.stdout
    markdown = bopkit("results", "runs", "--markdown", cwd=tmp_path).stdout
    assert markdown.count("\n") == 3
    assert f"{100 * record['final']['val_accuracy']:.2f}" in markdown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "told to stop")],
)
def test_a_stop_costs_nothing_and_says_so(tmp_path, number, code, word):
    hparams = SMALL.replace("epochs=1", "epochs=50")
    command = [sys.executable, "-m", "bopkit.cli", "train", "binarynet", "--hparams", hparams]
    process = subprocess.Popen(
        [*command, "--output-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, which the tests may be, has Ctrl-C ignored and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    said = "binarynet/bop on digits, not on cifar10: 1,437 + 360 images, 1 processor, seed 0.\n"
    assert process.stdout.readline() == said
    assert "epoch  1/50" in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"bopkit: {word}; the same command goes on from here.\n"
    assert records.read(tmp_path)["error"] == "interrupted"


def test_the_default_data_is_the_embedded_one_and_alexnet_is_understood():
    done = bopkit("train", "alexnet", "--hparams", "epochs=0")
    assert "epochs must be at least 1" in done.stderr


def test_the_version():
    done = bopkit("--version")
    assert (done.returncode, done.stdout) == (0, f"bopkit {version('bopkit')}\n")


def test_experiments_lists_the_papers_settings():
    done = bopkit("experiments")
    assert done.returncode == 0
    for name in ("binarynet/bop_sec52", "binary_alexnet/bop", "xnornet/bop", "birealnet/bop"):
        assert name in done.stdout
    assert bopkit("results", ".", "--markdown").returncode == 0


def test_help_names_every_flag_of_the_released_command_line():
    text = bopkit("train", "--help").stdout
    for flag in (
        "--dataset", "--preprocess-fn", "--hparams-set", "--hparams", "--data-dir", "--output-dir",
        "--seed", "--train-examples", "--validation-examples", "--no-tensorboard",
    ):  # fmt: skip
        assert flag in text
