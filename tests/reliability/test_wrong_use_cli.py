"""Wrong use of the command line: one clear line, exit code 2, and nothing touched.

Most mistakes go through one interpreter, because TensorFlow takes seconds to load; what depends
on the process itself (its exit code, its standard error, what it imported) has one of its own.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys

import pytest

from bopkit import cli

TRAIN = ["train", "binarynet"]
RUN = [*TRAIN, "--hparams", "epochs=1,filters=8,dense_units=32,batch_size=20", "--output-dir"]
FASHION = [*TRAIN, "--dataset", "fashion_mnist", "--data-dir"]
IMAGENET = ["--dataset", "imagenet2012", "--data-dir"]

# What is typed after `bopkit`, and what the line must say. {name} is a place that `places` makes.
CASES = [
    # Names, with what was probably meant
    (["trian"], "No such command 'trian'"),
    (["data", "prepaer"], "No such command 'prepaer'"),
    (["train"], "Missing argument 'NETWORK'"),
    ([*TRAIN, "--sed", "1"], "No such option: --sed"),
    ([*TRAIN, "--no-such-thing"], "No such option: --no-such-thing"),
    (["train", "binarynets"], "did you mean binarynet?"),
    (["train", "resnet50"], "unknown network 'resnet50': there are: binarynet,"),
    ([*TRAIN, "--hparams-set", "bops"], "did you mean bop?"),
    ([*TRAIN, "--hparams-set", "best"], "unknown set of hyperparameters for binarynet 'best'"),
    ([*TRAIN, "--dataset", "fashion-mnist"], "did you mean fashion_mnist?"),
    ([*TRAIN, "--dataset", "svhn"], "unknown dataset 'svhn': there are: digits"),
    ([*TRAIN, "--preprocess-fn", "resize_and_flipp"], "did you mean resize_and_flip?"),
    ([*TRAIN, "--hparams", "gama=1e-3"], "did you mean gamma?"),
    ([*TRAIN, "--hparams", "treshold=1"], "did you mean threshold?"),
    (["data", "prepare", "cifar"], "did you mean cifar10?"),
    (["sweep", "binarynets"], "did you mean binarynet?"),
    (["sweep", "--vary", "gama=1"], "did you mean gamma?"),
    (["sweep", "--dataset", "digit"], "did you mean digits?"),
    # Types and forms
    ([*TRAIN, "--seed", "one"], "Invalid value for '--seed'"),
    ([*TRAIN, "--train-examples", "1.5"], "Invalid value for '--train-examples'"),
    ([*TRAIN, "--hparams", "epochs"], "--hparams takes k=v,k=v"),
    ([*TRAIN, "--hparams", "=3"], "--hparams takes k=v,k=v"),
    ([*TRAIN, "--hparams", "epochs=1,epochs=2"], "--hparams names epochs twice"),
    (
        [*TRAIN, "--preprocess-fn", "default", "--hparams", "preprocess=resize_and_flip"],
        "preprocess is given twice, as 'default' and in hparams as 'resize_and_flip'",
    ),
    ([*TRAIN, "--hparams", "epochs=many"], "epochs must be a whole number; got 'many'"),
    ([*TRAIN, "--hparams", "epochs=2.5"], "epochs must be a whole number; got '2.5'"),
    ([*TRAIN, "--hparams", "gamma=1e-3e"], "gamma must be a number; got '1e-3e'"),
    ([*TRAIN, "--hparams", "network=xnornet"], "unknown hyperparameter 'network'"),
    (["sweep", "--vary", "gamma"], "--vary takes K=V,V,V"),
    (["sweep", "--vary", "gamma=1e-2", "--vary", "gamma=1e-3"], "--vary names gamma twice"),
    (["sweep", "--seeds", "0"], "Invalid value for '--seeds'"),
    (["sweep", "--jobs", "-1"], "Invalid value for '--jobs'"),
    # Ranges, NaN, infinity, and what float32 cannot hold
    ([*TRAIN, "--seed", "-1"], "seed must be a whole number from 0"),
    ([*TRAIN, "--seed", "2147483648"], "seed must be a whole number from 0 to 2147483647"),
    ([*TRAIN, "--hparams", "epochs=0"], "epochs must be at least 1"),
    ([*TRAIN, "--hparams", "epochs=1e300"], "epochs must be below 2147483648"),
    ([*TRAIN, "--hparams", "epochs=inf"], "epochs must be a whole number; got 'inf'"),
    ([*TRAIN, "--hparams", "filters=-8"], "filters must be at least 1"),
    ([*TRAIN, "--hparams", "gamma=0"], "must be a number in (0, 1]"),
    ([*TRAIN, "--hparams", "gamma=1.01"], "must be a number in (0, 1]"),
    ([*TRAIN, "--hparams", "gamma=nan"], "must be a number in (0, 1]"),
    ([*TRAIN, "--hparams", "gamma=1e-50"], "to 0; got 1e-50"),
    ([*TRAIN, "--hparams", "threshold=-1e-8"], "must be a finite number of at least 0"),
    ([*TRAIN, "--hparams", "threshold=inf"], "must be a finite number of at least 0"),
    ([*TRAIN, "--hparams", "threshold=1e-60"], "to 0; got 1e-60"),
    ([*TRAIN, "--hparams", "learning_rate=nan"], "learning_rate must be a positive number"),
    ([*TRAIN, "--hparams", "learning_rate=0"], "learning_rate must be a positive number"),
    ([*TRAIN, "--hparams", "precision=float16"], "float16 cannot hold"),
    ([*TRAIN, "--hparams", "gamma_decay_rate=0.1"], "go together; give both"),
    (["train", "xnornet", "--hparams", "filters=8"], "xnornet has one size"),
    ([*TRAIN, "--hparams-set", "default", "--hparams", "gamma=1e-3"], "which has no gamma"),
    (["sweep", "--vary", "threshold=0,-1"], "must be a finite number of at least 0"),
    # Numbers of images, and images of the wrong size
    ([*TRAIN, "--train-examples", "0"], "train_examples must be between 1 and the 1437"),
    ([*TRAIN, "--validation-examples", "9999"], "validation_examples must be between 1"),
    ([*TRAIN, "--holdout", "1437"], "holdout must be at least 0 and below the 1437"),
    ([*TRAIN, "--holdout", "-1"], "holdout must be at least 0"),
    ([*TRAIN, "--hparams", "batch_size=2000"], "batch_size must be between 1 and the 1437"),
    ([*TRAIN, "--hparams", "image_size=8"], "with at least 10 by 10 pixels"),
    # Data that is missing, half there, of another shape or label, or in no folder
    ([*FASHION, "{empty}"], "Fashion-MNIST is not there: looked for"),
    ([*FASHION, "{half}"], "Fashion-MNIST is not there: looked for"),
    ([*FASHION, "{wide}"], "holds images of (28, 14), not (28, 28)"),
    ([*FASHION, "{short}"], "holds 3 images, but"),
    ([*FASHION, "{label}"], "holds the label 10"),
    ([*FASHION, "{text}"], "is not the IDX file it should be"),
    ([*TRAIN, "--dataset", "cifar10", "--data-dir", "{file}"], "is a file; data_dir must name"),
    (["train", "birealnet", *IMAGENET, "{empty}"], "ImageNet is not there"),
    (["data", "prepare", "imagenet2012", "--data-dir", "{empty}"], "--manual-dir"),
    (["data", "prepare", "imagenet2012", "--manual-dir", "{empty}"], "ILSVRC2012_img_"),
    (["data", "prepare", "digits", "--manual-dir", "{empty}"], "digits takes no --manual-dir"),
    ([*FASHION, "~nosuchuser/data"], "no home folder is known for ~nosuchuser"),
    (["data", "prepare", "cifar10", "--data-dir", "~nosuchuser"], "no home folder is known for"),
    # Folders that are files, that nobody may write to, and that are full
    ([*RUN, "{file}"], "cannot make the folder"),
    ([*RUN, "{file}/run"], "cannot make the folder"),
    ([*RUN, "a\udcffb"], "must be text that UTF-8 can write; got 'a\\udcffb'"),
    ([*RUN, "/proc/run"], "cannot make the folder"),
    ([*RUN, "{read_only}/run"], "cannot make the folder"),
    ([*RUN, "{read_only}"], "cannot write"),
    ([*RUN, "{record}"], "is not a run record"),
    (["data", "prepare", "cifar10", "--data-dir", "{tiny}"], "make room, or name another folder"),
    (["data", "prepare", "cifar10", "--data-dir", "{file}"], "is a file; data_dir must name"),
    # Records
    (["results", "{empty}/nowhere"], "there is no folder"),
    (["results", "{file}"], "there is no folder"),
    (["results", "{record}"], "is not a run record"),
]

# The same, where the process itself is part of the mistake: its environment, its exit code.
PROCESSES = [
    (["results", "nowhere"], {}, "there is no folder nowhere"),
    (TRAIN, {"TF_USE_LEGACY_KERAS": "0"}, "bopkit needs Keras 2 (larq does)"),
    (TRAIN, {"TF_CONFIG": "not json"}, "cannot join the cluster of TF_CONFIG or SLURM"),
    (TRAIN, {"SLURM_STEP_NUM_TASKS": "many"}, "cannot join the cluster of TF_CONFIG or SLURM"),
]


def write_fashion_mnist(folder, images=(3, 28, 28), labels=(0, 1, 2)):
    folder.mkdir()
    for prefix in ("train", "t10k"):
        pixels = struct.pack(">BBBB3I", 0, 0, 8, 3, *images) + bytes(images[0] * images[1] * 28)
        pixels = pixels[: 16 + images[0] * images[1] * images[2]]
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
        names = struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + bytes(labels)
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(names))
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Places of the wrong kind; those that need a mount are missing where it is not allowed."""
    root = tmp_path_factory.mktemp("places")
    made = {"empty": root / "empty", "file": root / "file", "record": root / "record"}
    made["empty"].mkdir()
    made["file"].write_text("what was here before")
    made["record"].mkdir()
    (made["record"] / "run.json").write_text('{"experiment": "mine"}')
    made["half"] = write_fashion_mnist(root / "half")
    (made["half"] / "train-labels-idx1-ubyte.gz").unlink()
    made["wide"] = write_fashion_mnist(root / "wide", images=(3, 28, 14))
    made["short"] = write_fashion_mnist(root / "short", labels=(0, 1))
    made["label"] = write_fashion_mnist(root / "label", labels=(0, 1, 10))
    made["text"] = write_fashion_mnist(root / "text")
    (made["text"] / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"not found" * 9))
    mounts = {"read_only": "ro,size=1m", "tiny": "size=1m"}
    for name, options in mounts.items():
        folder = root / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") and subprocess.run(command, capture_output=True).returncode == 0:
            made[name] = folder
    yield made
    for name in set(mounts) & set(made):
        subprocess.run(["umount", str(made[name])], check=False)


def fingerprint(*folders) -> dict[str, str]:
    """Every file and folder below some folders, with what it holds."""
    found = {}
    for path in (p for folder in folders for p in [folder, *sorted(folder.rglob("*"))]):
        content = path.read_bytes() if path.is_file() else b"folder"
        found[str(path)] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.parametrize(("arguments", "message"), CASES, ids=lambda v: str(v)[-40:])
def test_one_line_exit_2_and_nothing_touched(
    arguments, message, places, tmp_path, monkeypatch, capfd, require
):
    for name in ("read_only", "tiny"):
        if any(f"{{{name}}}" in argument for argument in arguments):
            require(name in places, "a file system can be mounted by root alone")
    precious = tmp_path / "runs" / "precious" / "run.json"
    precious.parent.mkdir(parents=True)
    precious.write_text("{}")
    before = fingerprint(tmp_path, *places.values())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(places["empty"]))
    monkeypatch.setattr("bopkit.data.fashion_mnist.URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(sys, "argv", ["bopkit", *(a.format(**places) for a in arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    error = capfd.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith("bopkit: ") and error.count("\n") == 1, error
    assert message in error and error.rstrip()[-1] in ".?)"
    after = fingerprint(tmp_path, *places.values())
    assert {name: after.get(name) for name in before} == before
    assert list(tmp_path.rglob("run.json")) == [precious]


@pytest.mark.parametrize(("arguments", "env", "message"), PROCESSES, ids=lambda v: str(v)[-40:])
def test_the_process_says_so_too(arguments, env, message, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bopkit.cli", *arguments],
        env={**os.environ, **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bopkit: ") and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other systems differ")
def test_too_little_memory_for_tensorflow_itself_is_one_line(tmp_path):
    import resource

    done = subprocess.run(
        [sys.executable, "-m", "bopkit.cli", *TRAIN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bopkit: TensorFlow does not fit into the memory"), done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_terminal_cannot_write_is_a_question_mark(tmp_path):
    command = [sys.executable, "-m", "bopkit.cli", "experiments"]
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0 and done.stderr == b""
    assert b"binarynet/bop" in done.stdout and b"?" in done.stdout


@pytest.mark.parametrize("missing", ["tensorflow", "tf_keras"])
def test_a_package_that_is_missing_is_named_with_how_to_get_it(missing, run_python, tmp_path):
    code = f"import sys; sys.modules[{missing!r}] = None\n"
    code += "from bopkit import cli; sys.argv = ['bopkit', 'train', 'binarynet', '--output-dir', "
    done = run_python(f"{code}{str(tmp_path / 'run')!r}]; cli.main()")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "training needs TensorFlow with Keras 2" in done.stderr and "pip install" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_two_mistakes_are_the_same():
    assert len({str(case) for case, _ in CASES}) == len(CASES)
