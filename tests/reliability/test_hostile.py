"""Hostile files: what is loaded is data; nothing in it runs, and a page shows it as text."""

from __future__ import annotations

import ast
import json
import pickle
import sys
from pathlib import Path

import damage
import pytest
import yaml

from bopkit import experiments, records
from bopkit.book import parameters
from bopkit.errors import BopkitError, DataError, RecordError
from bopkit.records import schema, tables

ROOT = Path(__file__).parents[2]
SCRIPT = "<script>document.title='pwned'</script>"
LINK = "[x](javascript:document.title='pwned')"


class Touch:
    """A pickle that leaves a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def record(**changes):
    config = vars(experiments.get("binarynet/bop")) | {"seed": 0, "holdout": 0, "epochs": 1}
    config |= {"train_examples": 1437, "validation_examples": 360}
    return {
        "experiment": "binarynet/bop", "config": config, "dataset": "digits", "seed": 0,
        "command": "bopkit train binarynet", "git_commit": None, "versions": {}, "hardware": {},
        "status": "completed", "epochs": [{"epoch": 1, "seconds": 1.0, "val_accuracy": 0.5}],
        "final": {"val_accuracy": 0.5},
    } | changes  # fmt: skip


def text(**changes):
    return json.dumps(record(**changes))


RECORDS = {
    "nested 100,000 deep": "[" * 100_000,
    "nested 900 deep, where it is let": text(extra=json.loads("[" * 900 + "]" * 900)),
    "NaN": text(epochs=[{"epoch": 1, "seconds": float("nan")}]),
    "infinity": text(config=record()["config"] | {"gamma": float("inf")}),
    "a number above every float": text().replace('"seconds": 1.0', '"seconds": 1e999'),
    "a number of 5,000 digits": text().replace('"seed": 0', '"seed": ' + "9" * 5000),
    "a number of 400 digits": text(seed=10**400),
    "a key twice": text()[:-1] + ', "seed": 1}',
    "an unknown status": text(status="done"),
    "a seed that is text": text(seed="0"),
    "a seed that is true": text(seed=True),
    "epochs that are an object": text(epochs={}),
    "a row that is text": text(epochs=["x"]),
    "a row without seconds": text(epochs=[{"epoch": 1}]),
    "an accuracy that is text": text(epochs=[{"epoch": 1, "seconds": 1, "val_accuracy": "90"}]),
    "an accuracy that is an object": text(epochs=[{"epoch": 1, "seconds": 1, "loss": {}}]),
    "a method that is not one": text(config=record()["config"] | {"method": "magic"}),
    "no τ": text(config={k: v for k, v in record()["config"].items() if k != "threshold"}),
    "a name of two lines": text(experiment="binarynet/bop\n# A heading"),
    "a name that clears the terminal": text(experiment="\x1b[2Jbinarynet/bop"),
    "a name of a million letters": text(experiment="x" * 10**6),
    "half a character": text(command="\ud800"),
    "another encoding": text().encode("utf-16"),
    "a pickle": pickle.dumps(record()),
    "an archive": b"PK\x03\x04" + bytes(100),
    "nothing": "",
    "null": "null",
    "a list": "[]",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_is_none_is_refused_in_one_line(name, tmp_path):
    content = RECORDS[name]
    (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordError) as caught:
        records.read(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and len(message) < 500 + len(str(tmp_path))
    assert message.removeprefix(str(tmp_path)).isprintable()


def test_a_record_that_is_no_ordinary_file_is_not_waited_for(tmp_path):
    (tmp_path / "run.json").symlink_to("/dev/zero")
    with pytest.raises(RecordError, match="it is not a file"):
        records.read(tmp_path)
    (tmp_path / "run.json").unlink()
    with open(tmp_path / "run.json", "wb") as file:
        file.truncate(schema.LARGEST + 1)
    with pytest.raises(RecordError, match="is too large"):
        records.read(tmp_path)


@pytest.mark.parametrize(
    "hostile",
    [
        SCRIPT,
        LINK,
        "a | b",
        "`x`",
        "[/bold]",
        "<img src=x>",
        "$x$",
        "{{ 7 * 7 }}",
        "{eval}`1`",
        "https://evil.example",
        "# x",
        "&lt;",
        "a_b_ _c_",
        "\\\\| x",
    ],
)
def test_pages_show_what_a_record_says_and_do_not_obey_it(hostile, tmp_path, capsys, monkeypatch):
    (tmp_path / "run.json").write_text(text(experiment=hostile, dataset=hostile, command=hostile))
    found = records.collect(tmp_path)
    paper = {"bop": (91.3,)}
    for table in (tables.markdown_table(found), tables.results_table(found, paper, "CIFAR-10")):
        html = render(table)
        assert html.count("<td") == table.splitlines()[0].count(" | ") + 1  # no column more
        assert not any(f"<{tag}" in html for tag in ("script", "img", "a ", "code", "em", "span"))
    assert unescape(render(tables.escape(hostile))) == hostile
    block = render(tables.code_block(f"```\n{hostile}"))
    assert block.count("<pre>") == 1 and block.rstrip().endswith("</code></pre>")
    from bopkit import cli

    monkeypatch.setattr("sys.argv", ["bopkit", "results", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code and hostile in capsys.readouterr().out


def render(markdown):
    """As the book does: MyST with the extensions of _config.yml."""
    from markdown_it.renderer import RendererHTML
    from myst_parser.config.main import MdParserConfig
    from myst_parser.parsers.mdit import create_md_parser

    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
    return parser.render(markdown)


def unescape(html):
    import html as library

    return library.unescape(html.strip().removeprefix("<p>").removesuffix("</p>"))


@pytest.mark.slow
def test_a_pickle_in_place_of_a_checkpoint_is_named_and_not_read(tmp_path, capsys):
    import bopkit

    hparams = {"epochs": 1, "filters": 8, "dense_units": 32, "batch_size": 20}
    options = {"hparams": hparams, "train_examples": 40, "validation_examples": 20}
    bopkit.train("binarynet/bop", output_dir=tmp_path, tensorboard=False, **options)
    proof = tmp_path / "proof"
    for path in (tmp_path / "checkpoints").glob("ckpt-*"):
        path.write_bytes(pickle.dumps(Touch(proof)))
    (tmp_path / "checkpoints" / "checkpoint").write_text('model_checkpoint_path: "/etc/passwd"\n')
    there = records.read(tmp_path)
    records.write(tmp_path, there | {"status": "failed", "final": None})
    run = bopkit.train("binarynet/bop", output_dir=tmp_path, tensorboard=False, **options)
    assert "is cut short or damaged" in capsys.readouterr().out
    assert run["status"] == "completed" and not proof.exists()


@pytest.mark.parametrize(
    "value",
    ["__import__('os').system('touch proof')", "{{ 1 }}", "'); import os; ('", "\n!touch proof\n",
     "$(touch proof)", "!!python/object/apply:os.system ['touch proof']"],
)  # fmt: skip
def test_a_notebooks_parameters_stay_text(value, tmp_path, monkeypatch):
    from papermill.translators import PythonTranslator

    monkeypatch.chdir(tmp_path)
    # What papermill writes into the notebook is a literal, and reads back as the same text.
    cell = PythonTranslator.codify({"dataset": value})
    (assignment,) = ast.parse(cell).body
    assert ast.literal_eval(assignment.value) == value
    for key in ("dataset", "preset", "gamma", "precision", "epochs", "seed"):
        with pytest.raises(BopkitError):
            parameters.settings({key: value}, "cifar10").experiment("binarynet/bop")
    assert list(Path(tmp_path).iterdir()) == []


# joblib's processes are used, its files are not.
CODE = {"eval", "exec", "__import__", "pickle", "cPickle", "marshal", "dill", "cloudpickle",
        "shelve", "yaml", "unsafe_load", "read_pickle", "joblib.load"}  # fmt: skip


def dangers(source):
    """The lines of a module that unpickle or evaluate what they are given."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            module, imported = node.module or "", [alias.name for alias in node.names]
            names = [*module.split("."), *imported, *(f"{module}.{name}" for name in imported)]
        elif isinstance(node, ast.Attribute):
            names = [node.attr, ast.unparse(node)]
        elif isinstance(node, ast.Name):  # a regular expression's compile is an attribute
            names = [node.id, "eval" if node.id == "compile" else ""]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            safe = isinstance(node.value, ast.Constant) and node.value.value is False
            names = [] if safe else ["pickle"]
        if CODE & set(names):
            found.append(node.lineno)
    return found


def test_nothing_of_bopkit_unpickles_or_evaluates():
    paths = sorted((ROOT / "bopkit").rglob("*.py"))
    found = {path.name: dangers(path.read_text(encoding="utf8")) for path in paths}
    # CIFAR-10's own files are pickles: tests/data/test_cifar10_forms.py says what one may not do.
    assert len(found.pop("cifar10_files.py")) == 3  # the import, the class and its error
    assert len(found) > 40 and not any(found.values()), found


@pytest.mark.parametrize(
    "line",
    ["import pickle", "import pickle as p", "from pickle import loads", "from joblib import load",
     "joblib.load(f)", "__import__(name)", "eval(text)",
     "compile(text, '', 'exec')", "builtins.exec(text)", "np.load(f, allow_pickle=True)",
     "np.load(f, allow_pickle=trusted)", "yaml.unsafe_load(f)", "from yaml import load"],
)  # fmt: skip
def test_what_would_unpickle_or_evaluate_is_found(line):
    safe = "re.compile(x)\nmodel.compile(x)\nnp.load(f, allow_pickle=False)\n"
    assert set(dangers(safe + line)) == {4}


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
def test_a_prepared_set_that_names_code_is_refused_and_runs_none(key, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    from bopkit import data
    from bopkit.data import prepare

    proof = tmp_path / "proof"
    (tmp_path / "evil.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    manual = damage.write_imagenet(tmp_path / "m", damage.images({"a": damage.ODD["grey"]}))
    found = prepare.prepare("imagenet2012", manual_dir=manual, data_dir=tmp_path, progress=False)
    path = found.folder / "features.json"
    features = json.loads(path.read_text())
    image = features["featuresDict"]["features"]["image"]
    del image["pythonClassName"]
    image[key] = "evil.Feature"
    path.write_text(
        json.dumps({"type": "evil.Feature", "content": {}} if key == "type" else features)
    )
    with pytest.raises(DataError, match=r"features.json asks for 'evil.Feature'") as caught:
        data.load("imagenet2012", data_dir=tmp_path)
    assert "\n" not in str(caught.value) and not proof.exists()
