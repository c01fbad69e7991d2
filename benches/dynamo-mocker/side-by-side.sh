#!/usr/bin/env bash
# dynamo-mocker and trimtab on the same trace, in turn: CPU seconds of whole processes, their ratio with its spread, and how
# the distributions of TTFT and TPOT compare.
#
#   benches/dynamo-mocker/side-by-side.sh TRACE.jsonl [ROUNDS] [--small] [-o FILE.csv]
#
# TRACE is Mooncake's conversation trace, ROUNDS how often each pair is run (default 3). Needs both programs built: see
# README.md; PEER and TRIMTAB name them if they lie elsewhere. --small leaves out the case of 8 copies of the trace on 512
# workers, which takes the peer a minute and 4.7 GiB. Rows go to FILE.csv (default target/side-by-side.csv), and to stdout.
set -euo pipefail
shopt -s inherit_errexit
# The shell writes times with the point of the locale.
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..

rounds=3 small='' out=$root/target/side-by-side.csv trace=''
while (($#)); do
  case $1 in
    --small) small=yes ;;
    -o) out=$(realpath -m "$2"); shift ;;
    *[!0-9]*) trace=$(realpath "$1") ;;
    *) rounds=$1 ;;
  esac
  shift
done
[ -f "$trace" ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
peer=${PEER:-$here/target/release/dynamo-mocker-replay}
ours=${TRIMTAB:-${CARGO_TARGET_DIR:-$root/target}/release/trimtab}
compare=$(dirname "$peer")/compare
for program in "$peer" "$ours" "$compare"; do
  [ -x "$program" ] || { echo "$program is not built: see $here/README.md" >&2; exit 2; }
done
mkdir -p "$(dirname "$out")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='%U %S %R'
echo 'router,workers,timing,requests,side,round,cpu_s,wall_s,peak_mib' >"$out"

failed() {
  echo "failed: $*" >&2
  cat "$work/err" >&2
  exit 1
}

# Runs a program; its CPU seconds, wall seconds and peak memory. The last needs the program `time`; without it there is none.
measure() { # name of the output, command...
  local name=$1
  shift
  local memory=''
  if [ -x /usr/bin/time ]; then
    { time /usr/bin/time -o "$work/memory" -f %M "$@" >"$work/$name.json" 2>"$work/err"; } 2>"$work/time" || failed "$@"
    memory=$(($(cat "$work/memory") / 1024))
  else
    { time "$@" >"$work/$name.json" 2>"$work/err"; } 2>"$work/time" || failed "$@"
  fi
  awk -v m="$memory" '{ printf "%.3f,%s,%s\n", $1 + $2, $3, m }' "$work/time"
}

# The peer's rules: a block can be hit once it is scheduled, and generated blocks stay until they are evicted.
rules=(--block-tokens 512 --kv-tokens 1048576 --max-batched-tokens 8192 --max-seqs 256 --cache-visible scheduled --generated keep)

# router (rr, kv), workers, timing (fixed, polynomial, own), trace
pair() {
  local router=$1 workers=$2 timing=$3 file=$4
  local theirs=polynomial cost='' scheduler=round-robin requests
  requests=$(wc -l <"$file")
  [ "$router" = rr ] || scheduler=dynamo-kv
  case $timing in
    fixed) theirs=fixed:20,10 cost='{"kind":"fixed","prefill_ms":20,"decode_ms":10}' ;;
    polynomial) cost=polynomial ;;
    # Each with the timing that is its default: what a user of either waits for.
    own) cost=analytic ;;
  esac
  : >"$work/ratios"
  for ((round = 1; round <= rounds; round++)); do
    local a b
    a=$(measure peer "$peer" --trace "$file" --workers "$workers" --router "$router" --timing "$theirs")
    b=$(measure ours "$ours" run --trace "$file" --instances "$workers" --scheduler "$scheduler" "${rules[@]}" --cost "$cost" --json)
    echo "$router,$workers,$timing,$requests,dynamo-mocker,$round,$a" >>"$out"
    echo "$router,$workers,$timing,$requests,trimtab,$round,$b" >>"$out"
    awk -v a="${a%%,*}" -v b="${b%%,*}" -v ma="${a##*,}" -v mb="${b##*,}" \
      'BEGIN { printf "%.3f %.3f %.1f %s %s\n", a, b, a / (b > 0 ? b : 0.001), ma, mb }' >>"$work/ratios"
  done
  sort -k3,3n "$work/ratios" | awk -v what="$router, $workers workers, $timing timing, $requests requests" '
    { a[NR] = $1; b[NR] = $2; r[NR] = $3; ma = $4; mb = $5 }
    END {
      m = int((NR + 1) / 2)
      printf "%-50s dynamo-mocker %8.3f CPU s, %5s MiB; trimtab %7.3f CPU s, %4s MiB; ratio %6.1f (%.1f to %.1f)\n", \
        what, a[m], ma, b[m], mb, r[m], r[1], r[NR]
    }'
  [ "$timing" = own ] || distributions
}

# TTFT and TPOT of the last pair, in milliseconds.
distributions() {
  theirs() { sed -n "s/^ *\"$1\": \([0-9.e+-]*\),*$/\1/p" "$work/peer.json" | head -1; }
  own() { awk -v kind="\"$1_s\": {" -v key="\"$2\":" 'index($0, kind) { on = 1 } on && index($0, key) { gsub(/[^0-9.e+-]/, "", $2); printf "%.3f", $2 * 1000; exit }' "$work/ours.json"; }
  local metric
  for metric in ttft tpot; do
    printf '    %s ms   mean %10.2f %10.2f   p50 %10.2f %10.2f   p90 %10.2f %10.2f   p99 %10.2f %10.2f\n' "$metric" \
      "$(theirs "mean_${metric}_ms")" "$(own "$metric" mean)" "$(theirs "median_${metric}_ms")" "$(own "$metric" p50)" \
      "$(theirs "p90_${metric}_ms")" "$(own "$metric" p90)" "$(theirs "p99_${metric}_ms")" "$(own "$metric" p99)"
  done
}

echo 'In each line of a distribution dynamo-mocker comes first, then trimtab. Its KV router breaks ties by an unseeded'
echo 'generator: with it the two cannot agree request by request, nor the peer with itself.'
for router in rr kv; do
  for timing in own polynomial fixed; do
    pair "$router" 8 "$timing" "$trace"
  done
done
for workers in 64 512; do
  for router in rr kv; do
    pair "$router" "$workers" own "$trace"
  done
done
if [ -z "$small" ]; then
  awk -v copies=8 '
    { head = $0; sub(/"hash_ids": \[.*/, "", head); ids = $0; sub(/.*\[/, "", ids); sub(/\].*/, "", ids); n = split(ids, id, ", ")
      for (c = 0; c < copies; c++) {
        line = head "\"hash_ids\": ["
        for (i = 1; i <= n; i++) line = line (i > 1 ? ", " : "") id[i] + c * 1000000
        print line "]}"
      } }' "$trace" >"$work/x8.jsonl"
  rounds=1
  pair kv 512 own "$work/x8.jsonl"
fi
echo
echo 'request by request, round-robin, fixed timing:'
"$peer" --trace "$trace" --timing fixed:20,10 --requests-out "$work/peer.csv" >/dev/null 2>&1
"$ours" run --trace "$trace" --instances 8 "${rules[@]}" --cost '{"kind":"fixed","prefill_ms":20,"decode_ms":10}' \
  --requests-out "$work/ours.csv" -q >/dev/null
"$compare" "$work/peer.csv" "$work/ours.csv"
echo "rows in $out" >&2
