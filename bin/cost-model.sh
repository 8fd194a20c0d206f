#!/usr/bin/env bash
# Foretells how long eight sweeps take and measures them: the cost model of docs/performance.md. A few minutes on two
# cores with nothing else to do. Usage: bash bin/cost-model.sh [MODEL]
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
cargo build --release --locked --quiet
exec python3 tests/peers/cost_model.py "${1:-smollm2-135m}"
