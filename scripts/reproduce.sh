#!/usr/bin/env bash
# Runs every study behind docs/reproduction.md and docs/findings.md, puts tables and figures into results/published, and
# writes both pages anew from them.
#
#   scripts/reproduce.sh             everything, in some eight CPU minutes; builds trimtab first
#   scripts/reproduce.sh NAME...     these studies, by the folder of their results, and the pages
#   RESUME=--resume scripts/reproduce.sh   keeps the cells of an interrupted run
#
# Studies on the real conversation trace run when TRIMTAB_TRACES names a folder with mooncake_conversation.jsonl
# (scripts/fetch-traces.sh fetches it); without it their published results stay as they are. JOBS limits the cells at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${TRIMTAB:-}" ] || { cargo build --release --quiet -p trimtab-cli && TRIMTAB=target/release/trimtab; }
real=${TRIMTAB_TRACES:-}
unset TRIMTAB_TRACES
wanted=("$@")
for name in "${wanted[@]}"; do
  grep -qE "^ *(study|chosen) $name " "$0" || { echo "no study of this script is called \`$name\`" >&2; exit 2; }
done

# What the pages may quote; the full tables stay in results/.
ratios='slo_attainment|ttft_mean_s|ttft_p50_s|ttft_p90_s|e2e_mean_s|e2e_p99_s|hit_ratio_tokens'
metrics="$ratios|e2e_p50_s|e2e_p90_s|load_cv"

chosen() {
  [ ${#wanted[@]} -eq 0 ] || printf '%s\n' "${wanted[@]}" | grep -qx "$1"
}

# study NAME VERB SPEC FIGURE...: runs a spec, publishes its tables and these figures (names of files, or how they begin).
study() {
  local name=$1 verb=$2 spec=$3 out=results/reproduce/$1 page=results/published/$1
  shift 3
  chosen "$name" || return 0
  echo "$name"
  "$TRIMTAB" "$verb" "$spec" --out "$out" "${RESUME:---force}" --quiet --jobs "${JOBS:-0}" >/dev/null
  mkdir -p "$page"
  rm -f "$page"/*.svg "$page"/*.csv
  if [ "$verb" = capacity ]; then
    cp "$out/capacity.csv" "$page"
  else
    grep -E "^point,|,($metrics)," "$out/intervals.csv" >"$page/intervals.csv"
    grep -E "^point,|,($ratios)," "$out/comparisons.csv" >"$page/comparisons.csv" || true
  fi
  for figure in "$@"; do
    "$TRIMTAB" plot "$out" --figure "${figure%%--*}" --out "$out/figures" >/dev/null
    cp "$out/figures/$figure.svg" "$page" 2>/dev/null || cp "$out/figures/$figure"*.svg "$page"
  done
}

# curve FILE ARGUMENT...: one LRU cache of growing size.
curve() {
  local name=$1 page=results/published/mooncake-curve
  shift
  chosen mooncake-curve || return 0
  mkdir -p "$page"
  "$TRIMTAB" cache "$@" --block-tokens 512 --capacities 20,195,1953,5859,19531,97656 --quiet --plot "$page/$name.svg" >/dev/null
}

# elastic up|down CASE: half of DualMap's elastic run, and the figure of a case.
elastic() {
  local out=results/reproduce/elastic-$1 page=results/published/dualmap-elastic
  local keep='ttft_p90_s|slo_attainment|hit_ratio_tokens|(hit_ratio|attainment|ttft_p90)_[a-z_]+'
  chosen dualmap-elastic || return 0
  echo "dualmap-elastic, $1"
  "$TRIMTAB" sweep "$dualmap/elastic-$1.toml" --out "$out" "${RESUME:---force}" --quiet --jobs "${JOBS:-0}" >/dev/null
  "$TRIMTAB" plot "$out" --figure over-time --out "$out/figures" >/dev/null
  grep -E "^point,|,($keep)," "$out/intervals.csv" >"$page/elastic-$1.csv"
  cp "$out/changes.csv" "$page/changes-$1.csv"
  cp "$out/figures/over-time--case=$2.svg" "$page/elastic-$1.svg"
}

# keys FILE ARGUMENT...: how long DualMap's keys become.
keys() {
  local name=$1 page=results/published/dualmap-fig6-keys
  shift
  chosen dualmap-fig6-keys || return 0
  mkdir -p "$page"
  "$TRIMTAB" trace keys "$@" --instances 8 --warmup-requests 500 >"$page/$name.csv"
}

times=(attainment-vs-rate ttft-vs-rate e2e-vs-rate)
dualmap=experiments/dualmap
findings=experiments/findings
study dualmap-speed sweep $dualmap/speed.toml
study dualmap-fig1-plane sweep $dualmap/fig1-plane.toml hit-cv-plane
study dualmap-fig3-conversation sweep $dualmap/fig3-conversation.toml "${times[@]}"
study dualmap-fig3-toolagent sweep $dualmap/fig3-toolagent.toml "${times[@]}"
study dualmap-capacity capacity $dualmap/capacity.toml capacity-bars
study dualmap-ablation sweep $dualmap/ablation.toml ttft-vs-rate
keys conversation --workload conversation --limit 4000 --max-input-tokens 20480 --seeds 1,2,3,4,5
keys toolagent --workload toolagent --limit 8000 --max-input-tokens 20480 --seeds 1,2,3,4,5
study dualmap-fig10-hit-ratio sweep $dualmap/fig10-hit-ratio.toml load-over-time--case=conversation load-over-time--case=tool-and-agent
elastic up '1-4--4-to-8'
elastic down '1-4--8-to-4'
study dualmap-fig13-scale capacity $dualmap/fig13-scale.toml capacity-bars
study mooncake-scheduling sweep experiments/mooncake-scheduling.toml ttft-vs-rate
curve toolagent --workload toolagent --limit 23608
curve conversation --workload conversation --limit 12031
study preble sweep experiments/preble.toml forest
study findings-choices sweep $findings/choices.toml attainment-vs-rate
study findings-staleness sweep $findings/staleness.toml vs-setting--signals.delay_ms
study findings-misprediction sweep $findings/misprediction.toml vs-setting
study findings-scale sweep $findings/scale.toml vs-setting--cluster.instances
study findings-skew sweep $findings/skew.toml vs-setting
study findings-slo sweep $findings/slo.toml vs-setting
study production-routers sweep experiments/production-routers.toml hit-cv-plane--case=conversation
rm -f results/published/production-routers/comparisons.csv # all pairs of two dozen routers

if [ -f "$real/mooncake_conversation.jsonl" ]; then
  export TRIMTAB_TRACES=$real
  study trace-fig3-conversation sweep $dualmap/fig3-conversation.toml "${times[@]}"
  study trace-ablation sweep $dualmap/ablation.toml ttft-vs-rate
  keys conversation-trace "$real/mooncake_conversation.jsonl" --limit 4000 --max-input-tokens 20480
  curve conversation-trace "$real/mooncake_conversation.jsonl"
fi
"$TRIMTAB" render
