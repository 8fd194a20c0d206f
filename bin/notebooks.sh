#!/usr/bin/env bash
# Executes the notebooks from a clean kernel and writes them to target/notebooks/*.html; checks the study's layout.
#
#   bash bin/notebooks.sh
#
# ICL_MASK_RESULTS is the folder of results that is read, notebooks/sample/results by default; ICL_MASK_ATTENTION the CSV
# of `icl-mask figure attention`, or a folder of several of one prompt, notebooks/sample/attention by default. With a binary
# (ICL_MASK_BIN, or else one in target/), the sample is also exported in the layout of the study's released code and
# read back by its path templates (tests/peers/sia2024.py).
# The notebooks in notebooks/ stay without outputs: one that holds some is refused. What a cell warns of is an error.
# Exit code: 0 all went through, 1 something did not, 2 no verdict possible. Once installed, some seconds.
# The packages (notebooks/requirements.txt) go into .venv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/bin/needs.sh"
venv=$root/.venv
wanted=$root/notebooks/requirements.txt
out=$root/target/notebooks

need_packages "$venv" "$wanted" notebooks-installed.txt || exit 2

# Notebooks are executed in their own folder.
for name in ICL_MASK_RESULTS ICL_MASK_ATTENTION; do
  if [ -n "${!name:-}" ]; then
    [ -e "${!name}" ] || { echo "notebooks: $name: ${!name} is not there" >&2; exit 2; }
    export "$name=$(realpath "${!name}")"
  else
    unset "$name"
  fi
done
# Nobody's own settings: the kernel is the environment's, and neither IPython nor matplotlib has a profile.
mkdir -p "$out/matplotlib"
rm -f "$out"/*.html
export JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PLATFORM_DIRS=1 IPYTHONDIR="$out/ipython" MPLCONFIGDIR="$out/matplotlib"
# Fonts are looked for here, once: in a cell that would be a warning.
"$venv/bin/python" -c 'import matplotlib.font_manager' 2>"$out/fonts.log" || { cat "$out/fonts.log" >&2; exit 1; }
"$venv/bin/python" "$root/tests/peers/notebooks.py" --out "$out" "$root"/notebooks/*.ipynb

for binary in ${ICL_MASK_BIN:+"$ICL_MASK_BIN"} "$root/target/release/icl-mask" "$root/target/debug/icl-mask"; do
  if [ -x "$binary" ]; then
    exec "$venv/bin/python" "$root/tests/peers/sia2024.py" --binary "$binary" "$root/notebooks/sample/results"
  fi
done
echo "no icl-mask binary: the study's layout was not checked (cargo build --release builds one)"
