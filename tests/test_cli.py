"""The command line: what it prints, and how it exits. What is refused: tests/reliability."""

import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_records
import typer

from bopkit import cli, experiments, records
from bopkit.errors import TrainingError
from bopkit.records import tables

SMALL = "epochs=1,filters=8,dense_units=32,batch_size=20"


@pytest.fixture
def bopkit(monkeypatch, capsys):
    """Run a command in this process; its exit code and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bopkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return SimpleNamespace(code=stopped.value.code or 0, **capsys.readouterr()._asdict())

    return run


@pytest.mark.slow
def test_train_with_the_released_names_then_results(tmp_path, bopkit, monkeypatch):
    command = ["train", "binarynet", "--dataset", "digits", "--preprocess-fn", "resize_and_flip"]
    command += ["--hparams-set", "bop", "--hparams", SMALL, "--seed", "2", "--no-tensorboard"]
    command += ["--train-examples", "400", "--validation-examples", "50"]
    # A process of its own: TensorFlow's log lines would stand on its standard error.
    done = subprocess.run(
        [sys.executable, "-m", "bopkit.cli", *command],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "epoch 1/1" in done.stdout and "validation top-1" in done.stdout
    record = records.read(tmp_path / "runs" / "binarynet_bop_digits_seed2")
    assert record["config"]["train_examples"] == 400
    # The record's own command repeats the run: the same folder, complete, nothing to do.
    monkeypatch.chdir(tmp_path)
    again = bopkit(*record["command"].split()[1:])
    assert again.code == 0 and "nothing to do" in again.out
    assert "binarynet/bop" in bopkit("results").out  # in runs, where train puts them
    markdown = bopkit("results", "runs", "--markdown").out
    assert markdown.count("\n") == 3
    assert f"{100 * record['final']['val_accuracy']:.2f}" in markdown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by the system")],
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
    said = "binarynet/bop on digits, not on cifar10: 1,437 + 360 images, 1 CPU, seed 0.\n"
    assert process.stdout.readline() == said
    assert "epoch  1/50" in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"bopkit: {word}; to resume, repeat the command.\n"
    assert records.read(tmp_path)["error"] == "interrupted"


@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", 129), ("SIG_IGN", 0)])
def test_a_closed_terminal_stops_a_preparation_but_not_under_nohup(run_python, before, code):
    done = run_python(
        f"""
import os, signal, sys
from bopkit import cli
signal.signal(signal.SIGHUP, signal.{before})
cli.preparing.prepare = lambda *_, **__: os.kill(os.getpid(), signal.SIGHUP) or "done"
sys.argv = ["bopkit", "data", "prepare", "digits"]
cli.main()
"""
    )
    assert done.returncode == code
    advice = "bopkit: stopped by the system; to start over, repeat the command.\n"
    assert (done.stdout, done.stderr) == (("done\n", "") if code == 0 else ("", advice))


def test_failed_training_is_one_line_and_an_unexpected_error_is_not_hidden(
    bopkit, asked, monkeypatch
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(cli.sweep, "sweep", fail)
    error = TrainingError("1 of 2 runs failed.")
    done = bopkit("sweep", "--vary", "epochs=3")
    assert (done.code, done.err) == (2, "bopkit: 1 of 2 runs failed.\n")
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):  # of which Python prints the traceback, and ends with 1
        bopkit("sweep", "--vary", "epochs=3")


@pytest.fixture
def asked(monkeypatch):
    """What the commands would do; nothing is trained, exported or prepared."""
    found = []

    def note(what, **options):
        found.append((what, options))
        return "done"

    def train(experiment, **options):
        note(experiment, **options)
        return {"final": {"val_accuracy": 0.5}}

    monkeypatch.setattr(cli.bopkit, "train", train)
    monkeypatch.setattr(cli, "load_tensorflow", lambda: None)
    monkeypatch.setattr(cli.sweep, "sweep", note)
    monkeypatch.setattr(cli.bopkit, "export", note)
    monkeypatch.setattr(cli.preparing, "prepare", note)
    return found


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["binarynet"], "binarynet/bop"),
        (["binarynet/bop_sec52"], "binarynet/bop_sec52"),
        (["binarynet", "--hparams-set", "bop_sec52"], "binarynet/bop_sec52"),
        (["binarynet/default", "--hparams-set", "default"], "binarynet/default"),
        (["alexnet/default"], "binary_alexnet/default"),
    ],
)
def test_a_set_of_hyperparameters_is_named_after_the_slash_or_by_its_option(
    bopkit, asked, arguments, name
):
    assert bopkit("train", *arguments).code == 0
    assert bopkit("sweep", *arguments, "--vary", "epochs=3").code == 0
    (experiment, options), (runs, _) = asked
    assert experiment.name == runs["epochs-3_seed0"][0].name == name
    assert str(options["output_dir"]) == f"runs/{name.replace('/', '_')}_digits_seed0"


IMAGES = (
    "--dataset cifar10 --data-dir data --train-examples 40 --validation-examples 20 --holdout 10"
)
OF_IMAGES = {
    "dataset": "cifar10", "data_dir": Path("data"), "train_examples": 40, "validation_examples": 20,
    "holdout": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (
            f"train binarynet {IMAGES} --preprocess-fn default --output-dir out --seed 4"
            " --hparams epochs=3 --checkpoint-minutes 2.5 --no-tensorboard --jit-compile",
            OF_IMAGES
            | {"preprocess": "default", "output_dir": Path("out"), "seed": 4}
            | {"hparams": {"epochs": "3"}, "checkpoint_minutes": 2.5}
            | {"tensorboard": False, "jit_compile": True},
        ),
        ("train binarynet --no-jit-compile", {"tensorboard": True, "jit_compile": False}),
        ("train binarynet", {"jit_compile": None, "checkpoint_minutes": 10, "seed": 0}),
        (
            f"sweep {IMAGES} --output-dir out --jobs 3 --gpus-per-run 2 --retries 5"
            " --scheduler tcp://x:1",
            OF_IMAGES
            | {"output_dir": Path("out"), "jobs": 3, "gpus_per_run": 2, "retries": 5}
            | {"scheduler": "tcp://x:1"},
        ),
        ("sweep", {"jobs": None, "gpus_per_run": 1, "retries": 1, "scheduler": None}),
        (
            "export run --format tflite --output file --data-dir data --validation-examples 20"
            " --min-agreement 0.5",
            {"format": "tflite", "output": Path("file"), "data_dir": Path("data")}
            | {"validation_examples": 20, "min_agreement": 0.5},
        ),
        (
            "data prepare imagenet2012 --manual-dir archives --data-dir data --skip-damaged",
            {"manual_dir": Path("archives"), "data_dir": Path("data"), "skip_damaged": True},
        ),
        ("data prepare digits", {"skip_damaged": False}),
    ],
)
def test_each_option_arrives(bopkit, asked, words, options):
    assert bopkit(*words.split()).code == 0
    ((_, given),) = asked
    assert {name: given[name] for name in options} == options


def test_a_sweep_trains_each_setting_with_each_seed(bopkit, asked):
    assert bopkit("sweep", "--vary", "epochs=3,4", "--seeds", "3").code == 0
    ((runs, _),) = asked
    found = sorted((experiment.epochs, seed) for experiment, seed in runs.values())
    assert found == [(epochs, seed) for epochs in (3, 4) for seed in range(3)]


def test_two_sets_of_hyperparameters_are_one_line(bopkit, asked):
    done = bopkit("train", "binarynet/bop_sec52", "--hparams-set", "bop")
    assert (done.code, done.err.count("\n"), asked) == (2, 1, [])
    assert "binarynet/bop_sec52 names the set of hyperparameters bop_sec52" in done.err


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_command_of_the_results_page_trains_on_the_papers_data(bopkit, asked, name):
    page = Path(__file__).parents[1] / "book" / "reproduction" / "results.md"
    (command,) = re.findall(r"^bopkit (train NETWORK[^`]*)$", page.read_text(), re.MULTILINE)
    command = command.replace("\\\n", " ")
    network, chosen = name.split("/")
    dataset = experiments.get(name).dataset
    for word, value in {"NETWORK": network, "SET": chosen, "DATA" + chosen: dataset}.items():
        command = command.replace(word, value)
    assert bopkit(*shlex.split(command)).code == 0
    ((experiment, options),) = asked
    assert (experiment, options["dataset"]) == (experiments.get(name), dataset)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["default"]),
        (["--dataset", "cifar10"], ["resize_and_flip"]),
        (["--dataset", "cifar10", "--hparams", "preprocess=default"], ["default"]),
        (["--hparams", "preprocess=resize_and_flip"], ["resize_and_flip"]),
        (["--vary", "preprocess=default,resize_and_flip"], ["default", "resize_and_flip"]),
    ],
)
def test_a_sweep_prepares_images_as_it_is_asked(bopkit, asked, arguments, expected):
    arguments = arguments if "--vary" in arguments else [*arguments, "--vary", "epochs=3"]
    assert bopkit("sweep", *arguments).code == 0
    ((runs, options),) = asked
    trained = [experiments.on_dataset(run, options["dataset"], {}) for run, _ in runs.values()]
    assert [run.preprocess for run in trained] == expected
    assert {run.dataset for run in trained} == {options["dataset"]}


def test_the_released_name_of_alexnet_is_understood(bopkit):
    assert "epochs must be at least 1" in bopkit("train", "alexnet", "--hparams", "epochs=0").err


def test_the_version(bopkit):
    done = bopkit("--version")
    assert (done.code, done.out) == (0, f"bopkit {version('bopkit')}\n")


def test_experiments_lists_the_papers_settings(bopkit):
    done = bopkit("experiments")
    assert done.code == 0
    for name in ("binarynet/bop_sec52", "binary_alexnet/bop", "xnornet/bop", "birealnet/bop"):
        assert name in done.out
    assert re.search(r"binarynet/default +│ latent ", done.out)


@pytest.mark.parametrize("columns", [200, 100, 80])
def test_a_table_loses_nothing_in_a_terminal_of_any_usual_width(bopkit, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = re.sub(r"\x1b\[\d*m", "", bopkit("experiments").out)
    assert max(map(len, out.splitlines())) <= columns
    rows = tables.experiment_rows()
    cells = [*rows[0], *(cell for row in rows for cell in row.values())]
    shown = re.sub(r"[\s┏┳┓┃┡╇┩│└┴┘━─]", "", out)
    assert sorted(shown) == sorted("".join("".join(cells).split()))
    assert ("│" in out) == (columns == 200)  # no lines where they would take the cells' place


def test_a_folder_without_records_is_no_mistake(bopkit, tmp_path):
    done = bopkit("results", tmp_path)
    assert done.code == 0 and done.out.startswith("no run.json below")


def test_results_shows_what_can_be_read_and_names_the_rest(bopkit, tmp_path):
    r"""On lines of their own that turn no terminal: "\x1b[2J" clears one, U+202E turns it."""
    for name in ("good", "b\nad\x1b[2J\u202e"):
        (tmp_path / name).mkdir()
        foreign = small_records.record(experiment="mine\u202e\u2028", dataset="a\u2066 b")
        records.write(tmp_path / name, foreign)
    bad = tmp_path / name / "run.json"
    bad.write_text(bad.read_text().replace("completed", "done"))
    done = bopkit("results", tmp_path)
    assert done.code == 0 and r"mine\u202e" in done.out and r"a\u2066 b" in done.out
    assert r"b ad\x1b[2J\u202e/run.json is not a run record: status" in done.err
    assert done.err.startswith("bopkit: ") and done.err.count("\n") == 1
    markdown = bopkit("results", tmp_path, "--markdown")
    assert markdown.code == 0 and markdown.err == done.err
    for text in (done.out, done.err, markdown.out):
        assert text.replace("\n", "").isprintable()
    alone = bopkit("results", bad.parent)
    assert alone.code == 2 and alone.out == "" and alone.err == done.err


def test_a_tilde_is_the_home_folder_in_every_path(bopkit, tmp_path, monkeypatch):
    """A shell leaves it in --output=~/model.npz; Python's users quote it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    records.write(tmp_path, small_records.record())
    assert "binarynet/bop" in bopkit("results", "~").out
    (tmp_path / "folder").mkdir()
    for arguments in (["~"], ["~", "--output=~/folder"], ["~/nowhere"], ["~nosuchuser"]):
        error = bopkit("export", *arguments).err
        assert str(tmp_path) in error or "no home folder is known for ~nosuchuser" in error


@pytest.mark.parametrize(
    "words", [["train", "binarynet", "--output-dir"], ["sweep", "--data-dir"], ["results"]]
)
def test_an_empty_path_is_not_the_current_folder(bopkit, asked, words):
    """As of a shell's variable that is not set."""
    done = bopkit(*words, "")
    assert (done.code, done.out, done.err.count("\n"), asked) == (2, "", 1, [])
    assert re.search(r"Invalid value for '(--\w+-dir|FOLDER)': it is empty; name a file", done.err)


def test_help_names_every_flag_of_the_released_command_line(bopkit):
    text = bopkit("train", "--help").out
    for flag in (
        "--dataset", "--preprocess-fn", "--hparams-set", "--hparams", "--data-dir", "--output-dir",
        "--seed", "--train-examples", "--validation-examples", "--no-tensorboard",
    ):  # fmt: skip
        assert flag in text


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield pytest.param(command, id=" ".join((*path, name)))


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(cli.app))))
def test_help_says_what_each_argument_is(command):
    assert command.help
    # A terminal of 80 columns would break longer lines of a paragraph in two.
    assert all(len(line) <= 78 for line in command.help.splitlines()[1:])
    for parameter in command.params:
        assert parameter.metavar or parameter.is_flag, parameter.name
        text = parameter.help
        assert text[0].isupper() and text.endswith("."), text
        assert "As for" not in text
    # Outside of code, a page prints the two hyphens of an option as a dash.
    for text in (command.help, *(parameter.help for parameter in command.params)):
        assert "--" not in re.sub("`[^`]*`", "", text), text


def test_the_help_of_every_command_ends_with_an_example_that_it_takes():
    group = typer.main.get_command(cli.app)
    commands = [(name, command) for name, command in group.commands.items() if name != "data"]
    commands += [(f"data {n}", c) for n, c in group.commands["data"].commands.items()]
    assert len(commands) == 6
    for name, command in commands:
        words = command.epilog.removeprefix(f"Example: bopkit {name}")
        assert words != command.epilog
        context = command.make_context(name, shlex.split(words))
        assert not context.args
        if hparams := context.params.get("hparams"):
            base = experiments.get(context.params["network"], "bop")
            experiments.override(base, experiments.parse_hparams(hparams))
