#!/usr/bin/env bash
# Writes requirements.lock: what .venv holds now, with hashes, as the ranges' one tested set.
# Run it on Python 3.11 and Linux (x86-64) after the tests have passed there. It needs uv.
set -euo pipefail
cd "$(dirname "$0")/.."

tested=$(mktemp)
trap 'rm -f "$tested"' EXIT
python=$(.venv/bin/python -c 'import platform; print(platform.python_version())')
.venv/bin/python -m pip freeze --all --exclude-editable | grep -Ev ' @ |^pip==' >"$tested"
{
    echo "# The tested set: Python $python, Linux, x86-64. Written by tools/lock.sh."
    uv pip compile pyproject.toml --extra all --quiet --constraint "$tested" --generate-hashes \
        --python-version "$python" --python-platform x86_64-manylinux_2_28 \
        --no-header --no-annotate
} >requirements.lock.new
mv requirements.lock.new requirements.lock
