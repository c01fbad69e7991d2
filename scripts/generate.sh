#!/usr/bin/env bash
# Writes what is generated from the command line's definition: manual pages and completions, in docs/cli.
# usage: scripts/generate.sh        (a test fails when they are out of date)
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${TRIMTAB:-target/debug/trimtab}
[ -n "${TRIMTAB:-}" ] || cargo build --quiet -p trimtab-cli
out=docs/cli
rm -rf "$out"
mkdir -p "$out"
"$bin" man --out "$out"
for shell in bash zsh fish; do
  "$bin" completions "$shell" >"$out/trimtab.$shell"
done
