#!/usr/bin/env bash
# Runs every command of README.md in a fresh clone, in its order and as typed, and compares what it says with what README.md
# shows. What cannot run as typed (no hub, no GPU, no Slurm, or hours) is in one table at the top of tests/peers/readme.py, with
# a reason and a smaller form or the refusal that is expected. Models and text come from package registries.
#
#   bash bin/check-readme.sh [--folder FOLDER] [--from N] [--list]
#
# The clone is of the last commit of this checkout, in a temporary folder that is deleted at the end. With --folder it is kept
# there with a log of each command, and a second call goes on with its models and its build. --list only shows the commands.
# --from N begins with the Nth of them, in a folder in which those before were run. ICL_MASK_BIN names a binary that is there
# already: then none is built. Exit code: 0 all commands end as expected, 1 some do not, 2 no verdict (a part was not run, the
# table does not fit README.md, or the clone failed).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/bin/needs.sh"
( need git git && need python3 python3 ) || exit 2
[ -n "${ICL_MASK_BIN:-}" ] || ( need_rust ) || exit 2
exec python3 "$root/tests/peers/readme.py" "$@"
