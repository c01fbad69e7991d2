#!/usr/bin/env bash
# Compares trimtab's dynamo-kv with the published crate. Usage: check.sh [requests a setting]
# Exits with 75 where the package registry is out of reach, and nothing was compared.
set -euo pipefail
cd "$(dirname "$0")"
timeout 60 cargo fetch --quiet || exit 75
cargo build --quiet
timeout 180 target/debug/dynamo-kv-router-agreement "${1:-1000}"
