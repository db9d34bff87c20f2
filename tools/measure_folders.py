"""Measure how fast ImageNet is read from folders and from TFRecord files, in turns, in one process.

    python tools/measure_folders.py FOLDERS PREPARED [--image-size 64] [--rounds 3]

FOLDERS holds `train/SYNSET/*.JPEG` and `val/`, PREPARED holds `imagenet2012/VERSION`, both of the
same images. As root, the tool measures a second time, and drops the file system's cache before each
epoch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

from bopkit import data


def rate(place, image_size, drop):
    """Images per second of one epoch, all of it prepared and none of it used."""
    if drop:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    found = data.load("imagenet2012", data_dir=place, image_size=image_size)
    began = time.perf_counter()
    images = sum(len(x) for x, _ in found.train_batches(100, seed=0, epochs=1))
    return images / (time.perf_counter() - began)


def main():
    """Print the rates of every round, and the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    places = {"folders": arguments.folders, "TFRecords": arguments.prepared}
    rate(arguments.folders, arguments.image_size, drop=False)  # TensorFlow starts its threads
    for drop in (False, True) if os.geteuid() == 0 else (False,):
        rates = {name: [] for name in places}
        for _ in range(arguments.rounds):
            for name, place in places.items():
                rates[name].append(rate(place, arguments.image_size, drop))
        medians = {name: statistics.median(found) for name, found in rates.items()}
        print("cache dropped" if drop else "cache warm", end=": ")
        print({name: [round(r) for r in found] for name, found in rates.items()}, end="; ")
        print(f"folders / TFRecords {medians['folders'] / medians['TFRecords']:.2f}")


if __name__ == "__main__":
    main()
