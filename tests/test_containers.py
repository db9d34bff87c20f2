"""Images for containers: what they take of a copy of the repository, and how they are run.

`tools/try_container.py` runs the steps of each file; that takes minutes, a download and root.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import declared
import pytest

from tools import try_container

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "containers"
# What `pip install` needs, and what the notebooks read.
NEEDED = {declared.PROJECT["readme"], *declared.PROJECT["license-files"], "pyproject.toml"}
NEEDED |= {"bopkit", "book", "results"}


def let_through():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"  # a later rule wins
    return {rule[1:] for rule in rules if rule.startswith("!")}


def test_an_image_takes_what_it_needs_and_nothing_else():
    assert let_through() == NEEDED and all((ROOT / name).exists() for name in NEEDED)
    definition = (CONTAINERS / "bopkit.def").read_text(encoding="utf8")
    section = re.search(r"^%files\n((?: .*\n)+)", definition, re.MULTILINE)[1]
    assert dict(map(str.split, section.splitlines())) == {name: f"/src/{name}" for name in NEEDED}


@pytest.mark.parametrize(
    "name", ["env", ".venv", "data", "archives", "wheelhouse", "run", "runs", "_build"]
)
def test_what_documented_commands_make_gets_into_neither_git_nor_an_image(name, require):
    command = ["git", "check-ignore", "--quiet", f"{name}/file"]
    done = subprocess.run(command, cwd=ROOT)
    require(done.returncode != 128, "not a git checkout")
    assert done.returncode == 0 and name not in let_through()


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_a_run_may_write_to_the_folder_that_its_command_mounts(name):
    text = (CONTAINERS / name).read_text(encoding="utf8")
    header = text.partition("\nFROM ")[0].replace("\\\n#", "")
    commands = [line.removeprefix("#").strip() for line in header.splitlines()]
    (run,) = (command for command in commands if command.startswith("docker run "))
    folder = re.search(r'-v "\$PWD/(\w+):', run)[1]
    assert '--user "$(id -u):$(id -g)"' in run
    assert commands.index(f"mkdir -p {folder}") < commands.index(run)


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """What the tool would run, of which nothing is run; /dev cannot be mounted."""
    found = []

    def run(command, check, **options):
        found.append(command)
        if command[:3] == ["mount", "--bind", "/dev"]:
            raise subprocess.CalledProcessError(32, command)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "copy", lambda source, target: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["try_container.py", str(CONTAINERS / "Dockerfile")])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the tool is for Linux")
def test_what_the_tool_mounted_is_unmounted_when_a_mount_fails(commands, tmp_path):
    with pytest.raises(subprocess.CalledProcessError, match="/dev"):
        try_container.main()
    _, proc, dev, *last = commands
    assert [proc[2], dev[2]] == ["/proc", "/dev"] and last == [["umount", proc[3]]]
    assert not list(tmp_path.iterdir())


def test_the_tool_mounts_nothing_if_a_folder_to_mount_is_missing(commands, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--mount", "no/such"])
    with pytest.raises(SystemExit):
        try_container.main()
    assert "no/such is not a folder: name one that exists." in capsys.readouterr().err
    assert commands == []


@pytest.mark.skipif(sys.platform != "linux", reason="the tool is for Linux")
def test_the_tool_deletes_no_folder_that_still_shows_another(tmp_path):
    (tmp_path / "proc").mkdir()  # /proc is in the table of mounts, which the tool reads
    with pytest.raises(RuntimeError, match="still shows folders of this machine"):
        try_container.remove(tmp_path / "proc")
    assert (tmp_path / "proc").is_dir()
