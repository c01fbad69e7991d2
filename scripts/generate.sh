#!/usr/bin/env bash
# Writes what is generated from the command line's definition: manual pages and completions, in docs/cli.
# usage: scripts/generate.sh        (a test fails when they are out of date)
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${TRIMTAB:-${CARGO_TARGET_DIR:-target}/debug/trimtab}
[ -n "${TRIMTAB:-}" ] || cargo build --quiet -p trimtab-cli
out=$(mktemp -d docs/cli.XXXXXX)
trap 'rm -rf "$out"' EXIT
"$bin" man --out "$out"
for shell in bash zsh fish; do
  "$bin" completions "$shell" >"$out/trimtab.$shell"
done
chmod 755 "$out"
rm -rf docs/cli
mv "$out" docs/cli
