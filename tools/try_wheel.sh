#!/usr/bin/env bash
# Installs bopkit as a stranger would: a wheel, alone, in an empty environment. Then tries what must
# work there without any extra: the README's example, a run, and one clear line where an extra is
# missing.    tools/try_wheel.sh [FOLDER]
#
# PYTHON names the interpreter (python3 otherwise). FOLDER keeps the environment for the next time;
# otherwise it is temporary. Five minutes on two cores, and 2.5 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."

# What only the book, the tests or a cluster need.
extras='jupyter|notebook|sphinx|pytest|hypothesis|nbval|playwright|nodejs|papermill|ipykernel|ruff'
extras+='|dask|distributed|matplotlib|ipywidgets|simplejpeg|larq-compute-engine'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
venv=$folder/venv
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    venv=$(cd "$1" && pwd)/venv
fi

# A copy: a build leaves its own folder behind, and the next one would pack what is in it.
mkdir "$folder/source" "$folder/wheel" "$folder/work"
cp -R bopkit pyproject.toml README.md LICENSE "$folder/source"
cd "$folder/work"

export PATH="$venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 TF_CPP_MIN_LOG_LEVEL=3
unset PYTHONPATH VIRTUAL_ENV
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip wheel --quiet --no-deps --wheel-dir "$folder/wheel" "$folder/source"
pip uninstall --quiet --yes bopkit
pip install --quiet "$folder"/wheel/bopkit-*.whl

fail() { printf '%s\n' "$*" >&2; exit 1; }

du -m "$venv" --max-depth 0 | awk '{print "Installed:", $1, "MB"}'
echo "Packages: $(pip list --format freeze | wc -l)"
! pip list --format freeze | grep -iE "$extras" || fail "The core brings what only an extra should."

python -c 'import bopkit; assert issubclass(bopkit.Bop, bopkit.FlipOptimizer)'
message=$(python -c 'import bopkit.book' 2>&1) && fail "bopkit.book loads without its extra."
message=${message##*$'\n'}
[[ $message == *"bopkit.book needs"*"pip install 'bopkit[book]'"* ]] || fail "$message"
echo "$message"

python - "$folder/source/README.md" <<'PYTHON'
import re
import sys

code = re.search(r"```python\n(.*?)```", open(sys.argv[1], encoding="utf8").read(), re.DOTALL)[1]
names = {}
exec(code, names)
accuracy = names["model"].history.history["val_accuracy"][-1]
assert accuracy > 0.9, accuracy
PYTHON

bopkit train binarynet --hparams epochs=1,filters=8,dense_units=32 --output-dir run
bopkit results run
