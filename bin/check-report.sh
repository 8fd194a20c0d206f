#!/usr/bin/env bash
# Checks a report in a browser (headless Chromium): its numbers against the score files, and that it can be used.
#
#   bin/check-report.sh REPORT.html RESULTS_FOLDER...
#
# RESULTS_FOLDER is what the report was made from: the folder of one run, or one above several. What is checked is in
# tests/peers/report_browser.py. Pictures of the page, 1280 and 390 pixels wide, light and dark, go to target/report/.
# Exit code: 0 all is well, 1 something is not, 2 no verdict possible.
# Playwright, which drives the browser, goes into .venv; the browser is the system's (Debian: chromium).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/bin/needs.sh"
venv=$root/.venv
wanted=$root/tests/peers/requirements-report.txt

( need chromium chromium ) || exit 2
# The copy is written last, so that an install that was broken off is done again.
if ! cmp -s "$wanted" "$venv/report-installed.txt"; then
  if ! { python3 -m venv "$venv" &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"; } >&2; then
    echo "check-report: cannot install playwright (on Debian: apt-get install python3-venv python3-pip)" >&2
    exit 2
  fi
  cp "$wanted" "$venv/report-installed.txt"
fi
exec "$venv/bin/python" "$root/tests/peers/report_browser.py" --pictures "$root/target/report" "$@"
