#!/usr/bin/env bash
# Fetches public traces from their official sources, into a folder that git ignores.
# Nothing runs this for you: read the licences it prints, then name what you want.
#
#   scripts/fetch-traces.sh                     list what there is
#   scripts/fetch-traces.sh NAME... [-o DIR]    fetch (resumes what was cut; default folder: traces/real)
#   scripts/fetch-traces.sh all [-o DIR]
set -euo pipefail

mooncake=https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces
azure=https://raw.githubusercontent.com/Azure/AzurePublicDataset/master/data
azure_week=https://azurepublicdatasettraces.blob.core.windows.net/azurellminfererencetrace
burstgpt=https://github.com/HPMLL/BurstGPT/releases/download/v1.2
bailian=https://raw.githubusercontent.com/alibaba-edu/qwen-bailian-usagetraces-anon/main

# name | licence | sha256, as far as it is known (a prefix is compared as a prefix, `-` is not compared) | URL
catalogue() {
  cat <<EOF
mooncake_conversation.jsonl|Apache-2.0 (kvcache-ai/Mooncake)|b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df|$mooncake/conversation_trace.jsonl
mooncake_toolagent.jsonl|Apache-2.0 (kvcache-ai/Mooncake)|48a2db1a13d3bc05e6330140c64f604ba366df20d3c9e128b5c35a01c1fa5f71|$mooncake/toolagent_trace.jsonl
mooncake_synthetic.jsonl|Apache-2.0 (kvcache-ai/Mooncake)|bd070915a98f|$mooncake/synthetic_trace.jsonl
azure_code_2023.csv|CC-BY-4.0 (Azure/AzurePublicDataset)|-|$azure/AzureLLMInferenceTrace_code.csv
azure_conv_2023.csv|CC-BY-4.0 (Azure/AzurePublicDataset)|2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8|$azure/AzureLLMInferenceTrace_conv.csv
azure_code_2024.csv|CC-BY-4.0 (Azure/AzurePublicDataset)|-|$azure_week/AzureLLMInferenceTrace_code_1week.csv
azure_conv_2024.csv|CC-BY-4.0 (Azure/AzurePublicDataset)|-|$azure_week/AzureLLMInferenceTrace_conv_1week.csv
burstgpt_1.csv|CC-BY-4.0 (HPMLL/BurstGPT)|-|$burstgpt/BurstGPT_1.csv
qwen_trace_a.jsonl|see its repository (alibaba-edu/qwen-bailian-usagetraces-anon)|-|$bailian/qwen_traceA_blksz_16.jsonl
EOF
}

list() {
  echo "Public traces (name, licence):"
  catalogue | while IFS='|' read -r name licence _ _; do printf '  %-28s %s\n' "$name" "$licence"; done
}

fetch() {
  local name=$1 licence=$2 sum=$3 url=$4 file="$out/$1"
  echo "$name: $licence"
  echo "  $url"
  if [ ! -f "$file" ]; then
    curl --fail --location --retry 3 --continue-at - --output "$file.part" "$url"
    mv "$file.part" "$file"
  fi
  local found
  found=$(sha256sum "$file" | cut -d' ' -f1)
  case "$sum" in
    -) echo "  sha256 $found (none published to compare with)" ;;
    *)
      if [ "${found:0:${#sum}}" != "$sum" ]; then
        echo "  sha256 is $found, expected $sum: the file changed at its source or the download is damaged" >&2
        echo "  hint: remove $file and fetch again" >&2
        return 1
      fi
      echo "  sha256 as expected"
      ;;
  esac
}

out=traces/real
wanted=()
while [ $# -gt 0 ]; do
  case "$1" in
    -o | --out) out=${2:?"-o needs a folder"}; shift 2 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) wanted+=("$1"); shift ;;
  esac
done
[ ${#wanted[@]} -gt 0 ] || { list; exit 0; }

mkdir -p "$out"
failed=0
for want in "${wanted[@]}"; do
  hit=0
  while IFS='|' read -r name licence sum url; do
    if [ "$want" = all ] || [ "$want" = "$name" ] || [ "$want" = "${name%.*}" ]; then
      hit=1
      fetch "$name" "$licence" "$sum" "$url" || failed=1
    fi
  done < <(catalogue)
  [ "$hit" = 1 ] || { echo "unknown trace: $want" >&2; list >&2; exit 2; }
done
exit "$failed"
