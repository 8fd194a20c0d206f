#!/usr/bin/env bash
# Licences, sources and known faults of all dependencies, by cargo-deny and deny.toml. Known faults (advisories) are a database
# that has to be fetched from where the Rust project keeps it; where that cannot be reached, `bash bin/deny.sh local` checks the
# rest. Builds cargo-deny where it is missing, which takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
case ${1:-} in
  local) cargo deny --locked check bans licenses sources ;;
  '') cargo deny --locked check ;;
  *) say "deny: the one thing that can be asked for is: local"; exit 2 ;;
esac
