#!/usr/bin/env bash
# Builds what mybinder.org would build from binder/, without Docker, and runs every notebook of the
# book in it: does each run there, in how much memory?    tools/try_binder.sh [FOLDER]
# Fails if one does not, or takes more than 1,500 MB: mybinder.org gives 1 to 2 GB.
#
# The commands are repo2docker's, in its order, on a copy of what git would carry. FOLDER keeps the
# environment for the next time; otherwise it is temporary. On Linux: minutes, and 3 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

python=$(tr -d - <binder/runtime.txt)
command -v "$python" >/dev/null || { say "binder/runtime.txt asks for $python: not found."; exit 1; }

if [ $# -gt 0 ]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

# What is committed, and what could be: nothing that only this machine has.
rm -rf "$folder/repository"
mkdir "$folder/repository"
git ls-files -z --cached --others --exclude-standard --deduplicate |
    while IFS= read -r -d '' name; do [ ! -e "$name" ] || printf '%s\0' "$name"; done |
    tar --create --null --files-from=- | tar --extract --directory "$folder/repository"
tools=$PWD/tools
cd "$folder/repository"

if [ ! -x "$folder/venv/bin/jupyter-lab" ]; then
    say "Making $folder/venv: what repo2docker's image has before it looks at a repository"
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        'ipywidgets==8.*' 'jupyter-offlinenotebook==0.3.*' 'jupyter-resource-usage==1.*' \
        'jupyter_server==2.*' 'jupyterhub==5.*' 'jupyterlab==4.*' 'notebook==7.*'
    du -sm "$folder/venv" | awk '{print "Before:", $1, "MB"}'
fi

# From here on as in the image: nothing of this machine's own environment.
export PATH="$folder/venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH VIRTUAL_ENV IPYTHONDIR
pip install --quiet --no-cache-dir -r binder/requirements.txt
./binder/postBuild >"$folder/postBuild.log" || { cat "$folder/postBuild.log" >&2; exit 1; }
du -sm "$folder/venv" | awk '{print "With the chapters\047 packages:", $1, "MB"}'

# `jupyter execute` takes about as much memory as the server that a reader's browser talks to.
failed=0
while IFS= read -r notebook; do
    python "$tools/peak_memory.py" --limit 1500 "$notebook" \
        binder/start jupyter execute --timeout=600 "$notebook" 2>"$folder/notebook.log" || {
        failed=1
        cat "$folder/notebook.log" >&2
    }
done < <(find book -name '*.ipynb' ! -path '*/.ipynb_checkpoints/*' | sort)
exit "$failed"
