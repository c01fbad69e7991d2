#!/usr/bin/env bash
# Gives every target (or those named) so many CPU seconds of fuzzing in turn, at idle priority where the system has one.
#
#   fuzz/run.sh CPU_SECONDS [TARGET...]
#
# FUZZ_TARGET_DIR is where it builds and keeps corpora, findings and the log (default fuzz/target); with FUZZ_BUILT=1 it
# takes the targets that are built there already. Ends with 1 if a target finds something, or cannot run.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")"
[[ ${1:-} =~ ^[0-9]+$ ]] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
seconds=$1
shift
root=$(cd .. && pwd)
work=${FUZZ_TARGET_DIR:-$PWD/target}
[ -n "${FUZZ_BUILT:-}" ] || cargo +nightly fuzz build --sanitizer none --target-dir "$work"
built=$(ls -d "$work"/*/release | head -1)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | grep -v trimtab-fuzz)
idle=()
! command -v chrt >/dev/null || idle=(chrt -i 0)
mkdir -p "$work/corpus" "$work/findings" "$work/logs"
log=$work/fuzz-log.csv
[ -f "$log" ] || echo 'target,wall_s,cpu_s,executions,coverage,corpus,findings' >"$log"

# Results of a small sweep, for targets that read what runs leave behind.
swept() {
  [ ! -d "$work/swept" ] || return 0
  cargo run --release --quiet --manifest-path "$root/Cargo.toml" -- sweep "$root/experiments/quickstart.toml" -q \
    --set 'seeds=[1]' --set workload.limit=60 --set warmup_requests=5 --set 'output.requests=true' --out "$work/swept" >/dev/null
}

# Something to begin with: files of the repository, and what the program writes.
seed() {
  local corpus=$work/corpus/$1 number=0 file folder
  [ ! -f "$corpus/seed-0" ] || return 0
  mkdir -p "$corpus"
  # The first bytes, then the file.
  add() {
    { printf '%b' "$1"; head -c 60000 "$2"; } >"$corpus/seed-$number"
    number=$((number + 1))
  }
  case $1 in
    read_any) for file in "$root"/crates/workload/tests/samples/*; do add '' "$file"; done ;;
    read_as) for file in "$root"/crates/workload/tests/samples/*; do for first in 0 1 2 3 4 5 6 7 8; do add "\\x0$first" "$file"; done; done ;;
    spec) for file in "$root"/experiments/*.toml "$root"/experiments/*/*.toml; do add '' "$file"; done ;;
    overrides)
      printf 'cluster.instances=2\nworkload.limit=8\nscheduler.kind=dualmap\nslo.ttft_s=5' >"$corpus/seed-0"
      printf 'cluster.cost={"kind":"fixed","prefill_ms":20,"decode_ms":10}\ncluster.kv_tokens=9000\nsignals.refresh_ms=5' >"$corpus/seed-1"
      printf 'cluster.host={capacity_tokens=9000,bandwidth_gb_s=9}\nworkload.kind=zipf\nworkload.rate=4\nscheduler.params={d=3}' >"$corpus/seed-2"
      printf 'admission=[{kind="flow-control",params={ttl_s=1.5}}]\nclients={patience_s=5.0,retries=2}' >"$corpus/seed-3"
      ;;
    table)
      swept
      for file in "$root"/results/published/*/summary.csv; do add '\x00' "$file"; done
      for file in "$work"/swept/*.parquet "$work"/swept/cells/*/*.parquet; do add '\x01' "$file"; done
      ;;
    results)
      for folder in "$root"/results/published/*/; do
        [ -f "$folder/summary.csv" ] || continue
        { head -40 "$folder/summary.csv"; printf '\0'; cat "$folder/capacity.csv" 2>/dev/null || true; printf '\0'
          head -20 "$folder/comparisons.csv" 2>/dev/null || true; printf '\0'; cat "$folder/spec.toml" 2>/dev/null || true
        } >"$work/seed"
        add '' "$work/seed"
      done
      ;;
    stored)
      swept
      # The target looks for a cell of this id.
      for file in "$work"/swept/cells/*.json; do
        sed "s/$(basename "$file" .json)/0123456789abcdef/" "$file" >"$work/seed"
        add '\x00' "$work/seed"
      done
      { cat "$work/swept/plan.json"; printf '\0'; cat "$work/swept/manifest.json"; printf '\0'; cat "$work/swept/spec.toml"; } >"$work/seed"
      add '\x01' "$work/seed"
      ;;
    calibration)
      printf '\x00hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms\nh100,llama-3.1-8b,1,e,prefill,1,512,0,30\nh100,llama-3.1-8b,1,e,decode,4,1,1000,9\nh100,llama-3.1-8b,1,e,mixed,2,512,100,99\n' >"$corpus/seed-0"
      printf '\x01arrival_s,input_tokens,output_tokens,ttft_ms,e2e_ms,hw,model,tp\n0,100,10,30,90,h100,llama-3.1-8b,1\n1.5,200,20,40,190,h100,llama-3.1-8b,1\n' >"$corpus/seed-1"
      printf '\x02n_head,n_kv_head,n_embd,n_expanded_embd,num_tensor_parallel_workers,num_tokens,time_stats.attn_pre_proj.median\n32,8,4096,14336,1,1,0.02\n\0n_q_head,n_kv_head,n_embd,num_tensor_parallel_workers,batch_size,prefill_chunk_size,kv_cache_size,time_stats.attn_prefill.median,time_stats.attn_decode.median\n32,8,4096,1,1,51,0,0.5,\n32,8,4096,1,1,0,100,,0.25\n' >"$corpus/seed-2"
      ;;
    profiles)
      for file in "$root"/experiments/profiles/models/*.toml; do add '\x00' "$file"; done
      for file in "$root"/experiments/profiles/hardware/*.toml; do add '\x02' "$file"; done
      add '\x03' "$root/experiments/profiles/fitted.toml"
      printf '\x01{"model_type":"llama","num_hidden_layers":32,"hidden_size":4096,"num_attention_heads":32,"num_key_value_heads":8,"intermediate_size":14336,"vocab_size":128256}' >"$corpus/seed-hf"
      ;;
    theme) printf 'base = "slide"\nfont_pt = 20\ncolumns = 2\nink = "#112233"\n[series."dualmap"]\ncolour = "#FF0000"\nmarker = "star"\ndashes = [1, 1]\n' >"$corpus/seed-0" ;;
    *) echo "no target is called \`$1\`" >&2; exit 2 ;;
  esac
  [ -f "$corpus/seed-0" ] || { echo "nothing to begin $1 with" >&2; exit 1; }
}

# What one target does for SECONDS: another process has the processor now and then, so wall time says little.
TIMEFORMAT='%U %S %R'
for target in "${targets[@]}"; do seed "$target"; done
status=0
for target in "${targets[@]}"; do
  out=$work/logs/$target.log
  cpu=0 wall=0 executions=0
  while awk -v done="$cpu" -v goal="$seconds" 'BEGIN { exit !(done < goal) }'; do
    left=$(awk -v done="$cpu" -v goal="$seconds" 'BEGIN { print int(goal - done) + 1 }')
    ended=0
    { time "${idle[@]}" "$built/$target" -max_total_time="$left" -timeout="${FUZZ_TIMEOUT:-25}" -report_slow_units=1000000 \
      -rss_limit_mb=3000 -max_len=65536 -len_control=50 -print_final_stats=1 \
      -artifact_prefix="$work/findings/$target-" "$work/corpus/$target" >/dev/null 2>"$out" || ended=$?; } 2>"$work/logs/$target.time"
    read -r user system real < <(tail -1 "$work/logs/$target.time")
    cpu=$(awk -v a="$cpu" -v b="$user" -v c="$system" 'BEGIN { print a + b + c }')
    wall=$(awk -v a="$wall" -v b="$real" 'BEGIN { print a + b }')
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out" | tail -1)
    executions=$((executions + ${ran:-0}))
    if [ "$ended" -ne 0 ] || [ "${ran:-0}" -eq 0 ]; then
      echo "$target ended with $ended: see $out" >&2
      status=1
      break
    fi
  done
  coverage=$(grep -o 'cov: [0-9]*' "$out" | tail -1 | cut -d' ' -f2)
  findings=$(find "$work/findings" -name "$target-*" | wc -l)
  [ "$findings" -eq 0 ] || status=1
  echo "$target,$wall,$cpu,$executions,${coverage:-0},$(find "$work/corpus/$target" -type f | wc -l),$findings" | tee -a "$log"
done
exit $status
