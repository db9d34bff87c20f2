#!/usr/bin/env bash
# Makes .venv, or brings it up to date with pyproject.toml.    tools/venv.sh [FOLDER]
#
# larq needs numpy 1, which has wheels for Python 3.10 to 3.12 only. So: the Python that the
# variable PYTHON names; else the first such one that really runs and can make a venv; else one that
# uv brings; else one clear line.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }

# Python 3.10 to 3.12? By running it: a pyenv shim named python3.12 may stand for nothing at all.
supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' >/dev/null 2>&1
}

# Supported and whole? Debian's lacks ensurepip, and with it a working `-m venv`, until python3-venv
# is installed.
usable() {
    supported "$1" && "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

# The one asked for, else the first that will do. 3.11 comes first: it is the one we test on.
find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.10 python3 python; do
        if usable "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

# uv from PATH, else from PyPI into a folder that is thrown away afterwards. Any Python that has
# either venv or pip will do for that, also one too new for us.
find_uv() {
    local name
    if uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    for name in python3 python; do
        if "$name" -m venv "$scratch/venv" >/dev/null 2>&1 &&
            "$scratch/venv/bin/python" -m pip install --quiet uv >&2; then
            echo "$scratch/venv/bin/uv"
            return
        fi
        if "$name" -m pip install --quiet --target "$scratch/target" uv >/dev/null 2>&1; then
            echo "$scratch/target/bin/uv"
            return
        fi
    done
    return 1
}

# With uv: a Python that is here but could not make a venv by itself, else one that uv downloads.
uv_venv() {
    "$1" venv --quiet --seed --no-python-downloads --python '>=3.10,<3.13' "$venv" 2>/dev/null ||
        "$1" venv --quiet --seed --python 3.11 "$venv"
}

if [ -n "${PYTHON:-}" ] && ! usable "$PYTHON"; then
    say "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 that can make a virtual environment (on" \
        "Debian: apt install python3-venv). Name another, or leave it out to have one found."
    exit 1
fi

# What is replaced below is removed first, so it has to be an environment.
if [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
    say "$venv is not a virtual environment, and not empty: nothing was removed. Name another folder."
    exit 1
fi

if ! supported "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    rm -rf "$venv"
    if python=$(find_python); then
        say "Making $venv with $python ($("$python" --version))"
        "$python" -m venv "$venv"
    elif uv=$(find_uv) && uv_venv "$uv"; then
        say "Made $venv with uv ($("$venv/bin/python" --version))"
    else
        say "bopkit needs Python 3.10, 3.11 or 3.12: found none that runs and can make a virtual" \
            "environment (on Debian: apt install python3-venv), and uv could not bring one."
        exit 1
    fi
fi

say "Installing bopkit with all its extras into $venv (some 2 GB, mostly TensorFlow: minutes, once)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt

# PyTorch for bopkit.pytorch: the small wheel for CPUs, if the package index has it.
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null &&
    ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'torch==2.13.0+cpu' 2>/dev/null; then
    say "PyTorch's tests will be skipped, because this package index has no wheel for CPUs: install" \
        "it from PyTorch's own index, or call $venv/bin/pip install 'torch>=2.6,<3' (some GB)."
fi
touch "$venv/.stamp"
