#!/usr/bin/env bash
# Drives the published sglang-router with three settings and replays each through trimtab's sglang-cache-aware.
# Everything is bounded in time and stays on the loopback interface. Usage: check.sh [requests a run]
# Exits with 75 where Python or the package registry is out of reach, and nothing was compared.
set -euo pipefail
cd "$(dirname "$0")"
requests=${1:-1000}
work=../../target/sglang-router
mkdir -p "$work"
python=$work/venv/bin/python
if ! "$python" -c 'import sglang_router' 2>/dev/null; then
  python3 -m venv "$work/venv" || exit 75
  timeout 90 "$python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 sglang-router==0.3.2 || exit 75
fi
timeout 60 cargo fetch --quiet || exit 75
cargo build --quiet --target-dir ../../target

# run NAME DRIVER-OPTIONS... -- ROUTER-OPTIONS... -- POLICY-PARAMETERS...
run() {
  local name=$1 list=0 driver=() router=() params=()
  shift
  for word in "$@"; do
    if [ "$word" = -- ]; then list=$((list + 1)); continue; fi
    case $list in 0) driver+=("$word") ;; 1) router+=("$word") ;; 2) params+=("$word") ;; esac
  done
  timeout 150 "$python" drive.py --requests "$requests" --out "$work/$name.jsonl" "${driver[@]}" "${router[@]}"
  printf '\n%s\n' "$name"
  ../../target/debug/sglang-router-agreement "$work/$name.jsonl" "${params[@]}"
}

run cli-defaults --open 120 --seed 1 --
tight=(--cache-threshold 0.5 --balance-abs-threshold 4 --balance-rel-threshold 1.2)
same=(cache_threshold=0.5 balance_abs_threshold=4 balance_rel_threshold=1.2)
run tight-thresholds --workers 8 --open 40 --seed 2 -- "${tight[@]}" -- "${same[@]}"
run trimmed-tree --evict-s 3 --seed 3 -- "${tight[@]}" --max-tree-size 4000 -- "${same[@]}" max_tree_size=4000
