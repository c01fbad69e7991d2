#!/usr/bin/env bash
# Gives every target (or those named) SECONDS of fuzzing in turn, at idle priority.
# usage: fuzz/run.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
root=$PWD/..
work=${FUZZ_TARGET_DIR:-$PWD/target}
[ -n "${FUZZ_BUILT:-}" ] || cargo +nightly fuzz build --sanitizer none --target-dir "$work"
built=$(ls -d "$work"/*/release)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | grep -v trimtab-fuzz)
mkdir -p "$work/corpus" "$work/findings" "$work/logs"
log=$work/fuzz-log.csv
[ -f "$log" ] || echo 'target,seconds,cpu_s,executions,coverage,corpus,findings' >"$log"

# Something to begin with, from the files of the repository.
seed() {
  local corpus=$work/corpus/$1
  [ ! -d "$corpus" ] || return 0
  mkdir -p "$corpus"
  local i=0 file
  add() { # prefix, file...
    local prefix=$1
    shift
    for file in "$@"; do
      [ -f "$file" ] || continue
      { printf "%b" "$prefix"; head -c 60000 "$file"; } >"$corpus/seed-$((i++))"
    done
  }
  case $1 in
    read_any) add '' "$root"/traces/*.jsonl "$root"/traces/*.csv ;;
    read_as) for first in 0 1 2 3 4 5 6 7 8; do add "\\x0$first" "$root"/traces/*.jsonl "$root"/traces/*.csv; done ;;
    spec) add '' "$root"/experiments/*.toml ;;
    overrides)
      printf 'cluster.instances=2\nworkload.limit=8\nscheduler.kind=dualmap\nslo.ttft_s=5' >"$corpus/seed-0"
      printf 'cluster.cost={"kind":"fixed","prefill_ms":20,"decode_ms":10}\ncluster.kv_tokens=9000\nsignals.refresh_ms=5' >"$corpus/seed-1"
      printf 'cluster.host={capacity_tokens=9000,bandwidth_gb_s=9}\nworkload.kind=zipf\nworkload.rate=4\nscheduler.params={d=3}' >"$corpus/seed-2"
      ;;
    table) add '\x00' "$root"/results/published/*/*.csv; add '\x01' "$root"/results/published/*/*.parquet ;;
    results)
      for folder in "$root"/results/published/*/; do
        [ -f "$folder/summary.csv" ] || continue
        { head -40 "$folder/summary.csv"; printf '\0'; cat "$folder/capacity.csv" 2>/dev/null || true; printf '\0'
          head -20 "$folder/comparisons.csv" 2>/dev/null || true; printf '\0'; cat "$folder/spec.toml" 2>/dev/null || true
        } | head -c 60000 >"$corpus/seed-$((i++))"
      done
      ;;
    stored) add '\x00' "$root"/results/published/*/cells/*.json; add '\x01' "$root"/results/published/*/plan.json ;;
    calibration)
      printf '\x00hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms\nh100,llama-3.1-8b,1,e,prefill,1,512,0,30\nh100,llama-3.1-8b,1,e,decode,4,1,1000,9\nh100,llama-3.1-8b,1,e,mixed,2,512,100,99\n' >"$corpus/seed-0"
      printf '\x01arrival_s,input_tokens,output_tokens,ttft_ms,e2e_ms,hw,model,tp\n0,100,10,30,90,h100,llama-3.1-8b,1\n1.5,200,20,40,190,h100,llama-3.1-8b,1\n' >"$corpus/seed-1"
      printf '\x02n_head,n_kv_head,n_embd,n_expanded_embd,num_tensor_parallel_workers,num_tokens,time_stats.attn_pre_proj.median\n32,8,4096,14336,1,1,0.02\n\0n_q_head,n_kv_head,n_embd,num_tensor_parallel_workers,batch_size,prefill_chunk_size,kv_cache_size,time_stats.attn_prefill.median,time_stats.attn_decode.median\n32,8,4096,1,1,51,0,0.5,\n32,8,4096,1,1,0,100,,0.25\n' >"$corpus/seed-2"
      ;;
    profiles)
      add '\x00' "$root"/experiments/profiles/models/*.toml
      add '\x02' "$root"/experiments/profiles/hardware/*.toml
      add '\x03' "$root"/experiments/profiles/fitted.toml
      printf '\x01{"model_type":"llama","num_hidden_layers":32,"hidden_size":4096,"num_attention_heads":32,"num_key_value_heads":8,"intermediate_size":14336,"vocab_size":128256}' >"$corpus/seed-hf"
      ;;
    theme) printf 'base = "slide"\nfont_pt = 20\ncolumns = 2\nink = "#112233"\n[series."dualmap"]\ncolour = "#FF0000"\nmarker = "star"\ndashes = [1, 1]\n' >"$corpus/seed-0" ;;
  esac
}

for target in "${targets[@]}"; do
  seed "$target"
  out=$work/logs/$target.log
  TIMEFORMAT='%U %S'
  { time chrt -i 0 "$built/$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=3000 -max_len=65536 -len_control=50 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$target-" "$work/corpus/$target" >/dev/null 2>"$out" || true; } 2>"$work/logs/$target.time"
  cpu=$(tail -1 "$work/logs/$target.time" | awk '{ print $1 + $2 }')
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out" | tail -1)
  coverage=$(grep -o 'cov: [0-9]*' "$out" | tail -1 | cut -d' ' -f2)
  findings=$(find "$work/findings" -name "$target-*" | wc -l)
  echo "$target,$seconds,$cpu,${executions:-0},${coverage:-0},$(find "$work/corpus/$target" -type f | wc -l),$findings" | tee -a "$log"
done
