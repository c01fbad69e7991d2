#!/usr/bin/env bash
# What whole processes cost, trace reading included: CPU and wall time, peak memory, simulated requests per CPU second.
#
#   scripts/bench.sh TRACE.jsonl [RUNS] [--quick] [-o FILE.csv]
#
# TRACE is Mooncake's conversation trace, RUNS the runs of each case (default 5; the largest cases run once). The rows go to
# FILE.csv (default target/bench.csv) as they come, and as a table to stdout. --quick runs each small case once and leaves
# the large ones out: it shows that the script works. Run it on a machine that does nothing else.
set -euo pipefail
# The shell writes times with the point of the locale.
export LC_ALL=C
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

runs=5 quick='' out=target/bench.csv trace=''
while (($#)); do
  case $1 in
    --quick) quick=yes runs=1 ;;
    -o) [ $# -gt 1 ] || usage; out=$(realpath -m "$2"); shift ;;
    *[!0-9]*) trace=$(realpath "$1") ;;
    *) runs=$1 ;;
  esac
  shift
done
[ -f "$trace" ] || usage
cd "$(dirname "$0")/.."

bin=${TRIMTAB:-${CARGO_TARGET_DIR:-target}/release/trimtab}
[ -n "${TRIMTAB:-}" ] || cargo build --release --quiet
given=$runs
mkdir -p "$(dirname "$out")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%U %S %R'
echo 'case,instances,scheduler,block_tokens,requests,runs,cpu_s,cpu_s_min,cpu_s_max,wall_s,peak_mib,requests_per_cpu_s' >"$out"

# median, least and most of a column of numbers
spread() { sort -n | awk '{ v[NR] = $1 } END { printf "%.3f,%.3f,%.3f", v[int((NR + 1) / 2)], v[1], v[NR] }'; }

# case, instances, scheduler, block tokens, requests, arguments: the median over the runs, as one row.
row() {
  local name=$1 instances=$2 scheduler=$3 block=$4 requests=$5
  shift 5
  : >"$work/times"
  local memory='' peak
  for ((i = 0; i < runs; i++)); do
    { time "$bin" "$@" >/dev/null 2>"$work/err"; } 2>>"$work/times" || {
      echo "failed: $bin $*" >&2
      cat "$work/err" >&2
      exit 1
    }
    peak=$(sed -n 's/.*peak \([0-9]*\) MiB.*/\1/p' "$work/err")
    [ "${peak:-0}" -le "${memory:-0}" ] || memory=$peak
  done
  local cpu wall
  cpu=$(awk '{ print $1 + $2 }' "$work/times" | spread)
  wall=$(awk '{ print $3 }' "$work/times" | spread)
  local rate
  rate=$(awk -v n="$requests" -v t="${cpu%%,*}" 'BEGIN { printf "%.0f", (t > 0 ? n / t : 0) }')
  echo "$name,$instances,$scheduler,$block,$requests,$runs,$cpu,${wall%%,*},$memory,$rate" | tee -a "$out" |
    awk -F, '{ printf "%-34s %6s %-12s %5s %9s requests %9s CPU s (%s to %s) %9s s %6s MiB %9s requests/CPU s\n", $1, $2, $3, $4, $5, $7, $8, $9, $10, $11, $12 }'
}

# COPIES of the trace with disjoint block ids, overlaid on the same span.
overlay() {
  awk -v copies="$1" '
    { head = $0; sub(/"hash_ids": \[.*/, "", head); ids = $0; sub(/.*\[/, "", ids); sub(/\].*/, "", ids); n = split(ids, id, ", ")
      for (i = 1; i <= n; i++) if (id[i] + 0 >= 1000000) { print "the trace has a block id of a million and more" >"/dev/stderr"; exit 1 }
      for (c = 0; c < copies; c++) {
        line = head "\"hash_ids\": ["
        for (i = 1; i <= n; i++) line = line (i > 1 ? ", " : "") id[i] + c * 1000000
        print line "]}"
      } }' "$trace"
}

common=(--kv-tokens 1048576 --max-batched-tokens 8192 --max-seqs 256)
lines=$(wc -l <"$trace")
conversation() { # case, instances, scheduler, block tokens, more arguments
  local name=$1 instances=$2 scheduler=$3 block=$4
  shift 4
  row "$name" "$instances" "$scheduler" "$block" "$lines" \
    run --trace "$trace" "${common[@]}" --instances "$instances" --scheduler "$scheduler" --block-tokens "$block" "$@"
}

for instances in 8 64 512 4096; do
  for scheduler in round-robin dualmap preble dynamo-kv; do
    slo=()
    [ "$scheduler" != dualmap ] || slo=(--slo-ttft 5)
    conversation conversation "$instances" "$scheduler" 512 "${slo[@]}"
  done
done
for block in 16 64; do
  for scheduler in round-robin dynamo-kv; do
    conversation conversation 8 "$scheduler" "$block"
  done
done
# From a cluster that is nearly always idle to one that is given 64 times the load of the trace.
for speedup in 0.1 2 4 8 16 64; do
  conversation "arrivals ${speedup} times as fast" 8 round-robin 512 --speedup "$speedup"
done
conversation 'every step by itself' 8 round-robin 512 --stepping every

if [ -z "$quick" ]; then
  overlay 8 >"$work/x8.jsonl"
  for scheduler in round-robin preble dynamo-kv; do
    row '8 copies of the trace' 512 "$scheduler" 512 $((8 * lines)) \
      run --trace "$work/x8.jsonl" "${common[@]}" --instances 512 --block-tokens 512 --scheduler "$scheduler"
  done
  rm "$work/x8.jsonl"
  runs=1
  overlay 84 >"$work/x84.jsonl"
  row '84 copies of the trace' 1000 round-robin 512 $((84 * lines)) \
    run --trace "$work/x84.jsonl" "${common[@]}" --instances 1000 --block-tokens 512
  rm "$work/x84.jsonl"
fi
# One request a second for each instance is a busy cluster; at one and a half it is nearly saturated.
for requests in 1000000 10000000; do
  [ -z "$quick" ] || requests=$((requests / 1000))
  for rate in 1000 1500; do
    row "generated conversations at $rate/s" 1000 round-robin 512 "$requests" \
      run --workload conversation --limit "$requests" --rate "$rate" "${common[@]}" --instances 1000 --block-tokens 512
  done
done

# A sweep with one job and with one for each processor: what more processors bring.
limit=10_000
[ -z "$quick" ] || limit=100
cat >"$work/sweep.toml" <<SPEC
schema = 1
name = "sweep"
seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
workload = { kind = "conversation", limit = $limit }
slo = { ttft_s = 5.0 }
search = { kind = "sweep", rates_rps = [5.0, 10.0, 15.0, 20.0, 25.0] }
scheduler = [{ kind = "round-robin" }, { kind = "least-loaded" }, { kind = "cache-affinity" }, { kind = "dualmap" }]
SPEC
runs=$((given > 3 ? 3 : given))
for jobs in 1 $(nproc); do
  row "200 cells and $jobs jobs" 8 four 16 $((200 * ${limit/_/})) \
    sweep "$work/sweep.toml" --jobs "$jobs" --out "$work/sweep" --force
done
echo "rows in $out" >&2
