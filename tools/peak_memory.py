"""Runs a command, then says how long it took and the most memory that it held: Linux only.

    python tools/peak_memory.py [--limit MB] LABEL COMMAND [ARGUMENT ...]

With a limit it fails if the command took more, even if the command itself went well.

The memory is that of the command and of every process below it at one time. What several of them
share is counted once (PSS). Pages of libraries count, up to half a gigabyte with TensorFlow, though
a container that runs short may drop them: the number errs on the safe side.
"""

import argparse
import subprocess
import sys
import time

import psutil

INTERVAL = 0.2  # seconds between two looks


def held(root: psutil.Process) -> int:
    """Bytes that a process and those below it hold now."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # it ended between the list and the look
    return total


parser = argparse.ArgumentParser(usage=__doc__.splitlines()[2].strip())
parser.add_argument("--limit", type=float, default=float("inf"))
parser.add_argument("label")
parser.add_argument("command", nargs=argparse.REMAINDER)
options = parser.parse_args()
start, peak = time.monotonic(), 0
running = subprocess.Popen(options.command)
root = psutil.Process(running.pid)
while running.poll() is None:
    try:
        peak = max(peak, held(root))
    except psutil.NoSuchProcess:
        break
    time.sleep(INTERVAL)
seconds = time.monotonic() - start
print(f"{options.label:<44} {seconds:6.0f} s {peak / 2**20:7.0f} MB", flush=True)
status = running.wait()
if peak / 2**20 > options.limit:
    print(f"{options.label}: more than the {options.limit:.0f} MB allowed.", file=sys.stderr)
    status = status or 1
sys.exit(status)
