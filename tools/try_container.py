"""Run the steps of a Dockerfile or of an Apptainer definition in a fresh Debian, without a daemon.

    sudo python3 tools/try_container.py containers/Dockerfile [--mount DIR]

A Debian made by debootstrap stands in for the image that the file begins with. Each step is run
there as the file says; then bopkit trains a small network into a folder that is mounted there, as
the user who owns the folder. `--mount` shows a folder of this machine there too, such as a mirror
that its pip.conf names, which is taken along.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ("etc/pip.conf", "etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt")
OWNER = 12345  # of the mounted folder: no user that the Debian knows
PROOF = "train binarynet --hparams epochs=1,filters=8,dense_units=32 --train-examples 200"


def ignored() -> tuple[list[str], list[str]]:
    """Read .dockerignore: what it lets through, and the names that it leaves out everywhere."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf8").splitlines()
    return (
        [line[1:] for line in lines if line.startswith("!")],
        [
            line.rpartition("/")[2]
            for line in lines
            if line[:1] not in ("", "#", "!") and line != "*"
        ],
    )


def read(path: Path) -> list[tuple[str, str]]:
    """Read the steps of a file: pairs of an instruction of Dockerfiles and its text."""
    text = path.read_text(encoding="utf8")
    if path.suffix == ".def":
        parts = dict(re.findall(r"^%(\w+)\n((?:(?:    .*)?\n)*)", text, re.MULTILINE))
        post = "\n".join(line.strip() for line in parts["post"].splitlines())
        files = [("COPY", line.strip()) for line in parts["files"].splitlines() if line.strip()]
        paths = re.findall(r"export (PATH=\S+)", parts["environment"])
        return [*files, ("RUN", f"set -e\n{post}"), *(("ENV", p) for p in paths)]
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


class Debian:
    """Make a Debian in a folder, run commands in it, and unmount at the end what it shows."""

    def __init__(self, folder: Path):
        self.folder, self.mounted = folder, []
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        # How this machine reaches packages.
        self.env |= {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
        self.env |= {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        self.place, self.user = "/", "root"

    def __enter__(self):
        return self

    def begin(self, mounts: list[Path]) -> None:
        """Install the Debian, and show folders of this machine in it, each in its own place."""
        mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
        command = ["debootstrap", "--variant=minbase", "bookworm", str(self.folder), mirror]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in CONFIGURATION:
            if Path("/", name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path("/", name), self.folder / name)
        for source in [Path("/proc"), Path("/dev"), *mounts]:
            self.mount(source, source)

    def mount(self, source: Path, target: Path) -> None:
        """Show a folder of this machine in a place of the Debian."""
        place = self.folder / target.relative_to("/")
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(source), str(place)], check=True)
        self.mounted.append(place)

    def __exit__(self, *error):
        for place in reversed(self.mounted):
            subprocess.run(["umount", str(place)], check=False)  # `remove` finds what is left

    def run(self, command: list[str]) -> None:
        """Run a command as the present user in the present folder."""
        inside = ["env", "-i", "-C", self.place, *(f"{k}={v}" for k, v in self.env.items())]
        user = [f"--userspec={self.user}"] if self.user != "root" else []
        subprocess.run(["chroot", *user, str(self.folder), *inside, *command], check=True)

    def step(self, instruction: str, text: str) -> None:
        """Do one step of a Dockerfile."""
        if instruction == "RUN":
            self.run(["sh", "-c", text])
        elif instruction == "COPY":
            source, target = text.split()
            let_through, left_out = ignored()
            for name in let_through if source == "." else [source]:
                place = self.folder / target.lstrip("/") / (name if source == "." else "")
                place.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / name).is_dir():
                    pattern = shutil.ignore_patterns(*left_out)
                    shutil.copytree(ROOT / name, place, ignore=pattern, dirs_exist_ok=True)
                else:
                    shutil.copy(ROOT / name, place)
        elif instruction == "ENV":
            name, _, value = text.partition("=")
            self.env[name] = value.replace("$PATH", self.env["PATH"])
        elif instruction == "WORKDIR":
            self.place = text
        elif instruction == "USER":
            self.user = text
        elif instruction not in ("FROM", "CMD", "ENTRYPOINT"):
            sys.exit(f"{instruction} is no step that this tool knows.")


def remove(folder: Path) -> None:
    """Delete a temporary folder, unless a mount is left in it: what it shows would be deleted."""
    # `os.path.ismount` misses a folder of the same file system. Only the random name is looked for,
    # because the table writes the path to it in another way if that holds a space or a link.
    if folder.name in Path("/proc/self/mounts").read_text(encoding="utf8"):
        raise RuntimeError(f"{folder} still shows folders of this machine: unmount them first.")
    shutil.rmtree(folder)


def main():
    """Run all steps, then bopkit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--mount", type=Path, action="append", default=[])
    arguments = parser.parse_args()
    mounts = [path.resolve() for path in arguments.mount]
    for path in mounts:
        if not path.is_dir():
            parser.error(f"--mount {path} is not a folder: name one that exists.")
    folder, mounted = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    try:
        with Debian(folder) as debian:
            debian.begin(mounts)
            for instruction, text in read(arguments.file):
                print(f"{instruction} {' '.join(text.split())[:100]}", flush=True)
                debian.step(instruction, text)
            runs = mounted / "runs"
            runs.mkdir()
            os.chown(runs, OWNER, OWNER)
            place = Path(debian.place, "runs")
            debian.mount(runs, place)
            debian.user = f"{OWNER}:{OWNER}"
            debian.run(["bopkit", *shlex.split(PROOF), "--output-dir", f"{place}/digits"])
            print(sorted(path.name for path in Path(runs, "digits").iterdir()))
    finally:
        remove(folder)
        remove(mounted)


if __name__ == "__main__":
    main()
