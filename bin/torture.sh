#!/usr/bin/env bash
# Kills sweeps and trainings at random moments and lets processes compete, until KILLS were killed of each (200, if not given), and
# compares what comes out with undisturbed runs; with a disk that fills up, lost folders, signals and the rest of
# tests/survival/. Then as many kills of each with stderr closed, full, a pipe that nothing reads, or a terminal whose window
# was closed, and of exports and figures (tests/streams/). Some minutes on two cores.
# Usage: bash bin/torture.sh [KILLS]
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
KILLS=${1:-200} cargo test --locked --test survival --test streams -- --nocapture --test-threads 1
