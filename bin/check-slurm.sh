#!/usr/bin/env bash
# Does `icl-mask submit` hold with a real Slurm? Starts one of its own on this machine, with two nodes, lets tasks be killed,
# requeued, cancelled and told that their time is up, lets a node crash and another one lose its Slurm, and compares each time
# what is there in the end with a run without Slurm. A tiny model with random weights; three minutes on two cores.
#
#   bin/check-slurm.sh              (as root, on Linux; installs Debian's Slurm where it is missing)
#
# Slurm and all that it starts live in namespaces of their own, which end with this script, however that ends: nothing can be
# reached from outside or reaches out, no other Slurm on this machine is touched, and nothing is left running. All files are in
# a temporary folder. The checks are in tests/slurm/checks.sh.
# ICL_MASK_BIN names a binary that is there already; else it is built. Exit code: 0 all as it should be, 1 not, 2 no verdict.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then
  say "check-slurm: Slurm must start tasks as their users, which takes root"
  exit 2
fi

# Debian's packages start their services, unless this file forbids it, which is there for as long as they are installed: it
# goes with the shell that this is in.
need_slurm() (
  programs() { type -P slurmctld slurmd sbatch munged | wc -l; }
  forbids=/usr/sbin/policy-rc.d
  [ "$(programs)" -lt 4 ] || exit 0
  if command -v apt-get >/dev/null && [ ! -e "$forbids" ]; then
    trap 'rm -f "$forbids"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$forbids"
    chmod 755 "$forbids"
  fi
  need slurmctld slurmctld
  need slurmd slurmd
  need sbatch slurm-client
  need munged munge
  [ "$(programs)" = 4 ]
)

need python3 python3
need ip iproute2
need_slurm || exit 2
if [ -z "${ICL_MASK_BIN:-}" ]; then
  need_rust
  cargo build --release --locked --quiet --bin icl-mask >&2
fi
binary=$(realpath "${ICL_MASK_BIN:-target/release/icl-mask}")
spaces=(--net --uts --mount --pid --fork --kill-child --mount-proc)
if ! unshare "${spaces[@]}" true; then
  say "check-slurm: there are no namespaces to be had here (a container without privileges?), and Slurm would be open to others"
  exit 2
fi

work=$(mktemp -d)
cluster=
# With `unshare` the first process in its namespace is killed, and with that one all others there, before the folder can go.
stop() {
  [ -z "$cluster" ] || { kill -KILL "$cluster" && wait "$cluster"; } 2>/dev/null || true
  for _ in $(seq 50); do
    rm -rf "$work" 2>/dev/null && return
    sleep 0.2
  done
  say "check-slurm: $work is still there"
}
trap stop EXIT
trap 'exit 130' INT TERM HUP
# munged wants all users to be able to reach its socket.
chmod 755 "$work"
# In the background, so that a signal is heeded at once; it ends with this script even if that is killed.
setpriv --pdeathsig KILL unshare "${spaces[@]}" bash tests/slurm/checks.sh "$work" "$binary" &
cluster=$!
wait "$cluster"
