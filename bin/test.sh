#!/usr/bin/env bash
# Everything that is checked on every change: format, lints, tests, documentation, scripts, notebooks. Needs no GPU and no
# model; installs Rust, a C compiler and Python where they are missing, and for the notebooks a few packages into .venv. Long
# checks against Python are in bin/parity*.sh, bin/check-sandbox.sh and bin/check-report.sh.
#
#   bash bin/test.sh [--offline]      (--offline leaves out the notebooks, which fetch packages)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
offline=
case "${1-}" in
  "") ;;
  --offline) offline=yes ;;
  *) say "usage: bash bin/test.sh [--offline]"; exit 2 ;;
esac
need_rust
# The attacks on the sandbox are programs in it.
need python3 python3
# The notebooks run in a virtual environment, for which Debian has a package of its own.
python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv python3-venv

say "== scripts"
for script in bin/*.sh; do bash -n "$script"; done
# Whether bin/check-readme.sh knows the commands that README.md has.
python3 tests/peers/readme.py --list >/dev/null
# The tasks that need no package, with planted faults.
python3 tests/peers/prepared_tasks.py 2>&1 | tail -n 3
say "== oldest Rust"
# No dependency asks for a newer Rust than Cargo.toml declares. (Clippy knows since when the standard library has what is used.)
cargo metadata --locked --format-version 1 | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
number = lambda package: [int(part) for part in (package["rust_version"] or "1.0").split(".")][:2]
declared = next(number(package) for package in packages if package["name"] == "icl-mask")
newer = [package["id"] for package in packages if number(package) > declared]
sys.exit("these need a newer Rust than rust-version: " + ", ".join(newer) if newer else 0)
'
say "== format"
cargo fmt --check
say "== lints"
cargo clippy --locked --all-targets -- -D warnings
say "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
say "== tests"
cargo test --locked
if [ -z "$offline" ]; then
  say "== notebooks"
  bash bin/notebooks.sh
fi
