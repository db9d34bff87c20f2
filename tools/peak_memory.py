"""Runs a command, then says how long it took and the most memory that it held: Linux only.

    python tools/peak_memory.py LABEL COMMAND [ARGUMENT ...]

The memory is that of the command and of every process below it at one time. What several of them
share is counted once (PSS). Pages of libraries count, up to half a gigabyte with TensorFlow, though
a container that runs short may drop them: the number errs on the safe side.
"""

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


label, *command = sys.argv[1:]
start, peak = time.monotonic(), 0
running = subprocess.Popen(command)
root = psutil.Process(running.pid)
while running.poll() is None:
    try:
        peak = max(peak, held(root))
    except psutil.NoSuchProcess:
        break
    time.sleep(INTERVAL)
seconds = time.monotonic() - start
print(f"{label:<44} {seconds:6.0f} s {peak / 2**20:7.0f} MB", flush=True)
sys.exit(running.wait())
