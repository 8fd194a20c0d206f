#!/usr/bin/env bash
# Everything that is checked on every change: format, lints, tests, documentation, scripts. Needs no GPU and no model, and
# of Python only the interpreter; installs Rust, a C compiler and Python where they are missing. Long checks against Python
# are in bin/parity.sh, bin/parity-code.sh and bin/check-sandbox.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
# The attacks on the sandbox are programs in it.
need python3 python3

say "== scripts"
for script in bin/*.sh; do bash -n "$script"; done
say "== format"
cargo fmt --check
say "== lints"
cargo clippy --locked --all-targets -- -D warnings
say "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
say "== tests"
cargo test --locked
