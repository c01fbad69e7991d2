#!/usr/bin/env bash
# Whole-process CPU time and peak memory of the engine's benchmark cases, trace reading included; last a whole sweep.
# usage: scripts/bench.sh CONVERSATION_TRACE.jsonl [RUNS]
# One row per case: the median over RUNS (default 5) of user + system seconds, and the peak memory.
set -euo pipefail
cd "$(dirname "$0")/.."
trace=$(realpath "$1") runs=${2:-5}
cargo build --release --quiet
bin=target/release/trimtab
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%U %S'

# COPIES of a Mooncake trace with disjoint block ids, overlaid on the same span.
overlay() {
  awk -v copies="$1" '
    { head = $0; sub(/"hash_ids": \[.*/, "", head); ids = $0; sub(/.*\[/, "", ids); sub(/\].*/, "", ids); n = split(ids, id, ", ")
      for (c = 0; c < copies; c++) {
        line = head "\"hash_ids\": ["
        for (i = 1; i <= n; i++) line = line (i > 1 ? ", " : "") id[i] + c * 1000000
        print line "]}"
      } }' "$trace"
}

row() { # name, arguments...
  local name=$1; shift
  for ((i = 0; i < runs; i++)); do
    { time "$bin" run "$@" >/dev/null 2>"$work/err"; } 2>>"$work/times"
  done
  local cpu memory
  cpu=$(awk '{ print $1 + $2 }' "$work/times" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
  memory=$(sed -n 's/.*peak \([0-9]* MiB\).*/\1/p' "$work/err")
  rm "$work/times"
  printf '%-44s %8.3f CPU s %10s\n' "$name" "$cpu" "$memory"
}

common=(--kv-tokens 1048576 --max-batched-tokens 8192 --max-seqs 256)
conv=(--trace "$trace" "${common[@]}")
row "conversation, 8 instances, 512-token blocks" "${conv[@]}" --instances 8 --block-tokens 512
row "conversation, 8 instances, 64-token blocks" "${conv[@]}" --instances 8 --block-tokens 64
row "conversation, 8 instances, 16-token blocks" "${conv[@]}" --instances 8 --block-tokens 16
row "conversation, 512 instances" "${conv[@]}" --instances 512 --block-tokens 512
row "conversation, 8 instances, every step" "${conv[@]}" --instances 8 --block-tokens 512 --stepping every
overlay 84 >"$work/overlay.jsonl"
runs=1
row "84 copies (1,010,604), 1,000 instances" --trace "$work/overlay.jsonl" "${common[@]}" --instances 1000 --block-tokens 512

# The sweep that must end within 20 s on two cores: 4 schedulers, 5 rates, 10 seeds, 10,000 requests each.
cat >"$work/sweep.toml" <<'SPEC'
schema = 1
name = "sweep"
seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
workload = { kind = "conversation", limit = 10_000 }
slo = { ttft_s = 5.0 }
search = { kind = "sweep", rates_rps = [5.0, 10.0, 15.0, 20.0, 25.0] }
scheduler = [{ kind = "round-robin" }, { kind = "least-loaded" }, { kind = "cache-affinity" }, { kind = "dualmap" }]
SPEC
TIMEFORMAT='200 cells of 10,000 requests, 2 jobs: %U + %S CPU s, %R s'
time "$bin" sweep "$work/sweep.toml" --jobs 2 --out "$work/sweep" >/dev/null 2>&1
