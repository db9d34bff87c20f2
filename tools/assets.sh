#!/usr/bin/env bash
# Copies what the book's pages load in the browser from node_modules into book/_static/vendor, so that a
# built page never asks another server for anything.    tools/assets.sh
#
# The versions are pinned in package-lock.json. Nothing of it is committed.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/npm.sh

from=node_modules
to=book/_static/vendor
rm -rf "$to"
mkdir -p "$to/fonts/files"

# The style of the maths, which is set while the book is built.
mkdir -p "$to/katex/fonts"
cp "$from/katex/dist/katex.min.css" "$to/katex/"
cp "$from/katex/dist/fonts"/*.woff2 "$to/katex/fonts/"

# Typefaces: variable fonts, the browser fetches only the scripts that a page uses.
for family in source-serif-4 source-sans-3; do
    package=$from/@fontsource-variable/$family
    cp "$package"/files/*-wght-*.woff2 "$to/fonts/files/"
    cat "$package/wght.css" "$package/wght-italic.css" >>"$to/fonts/fonts.css"
done
touch "$to/.stamp"
