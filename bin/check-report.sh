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
need_packages "$venv" "$wanted" report-installed.txt || exit 2
exec "$venv/bin/python" "$root/tests/peers/report_browser.py" --pictures "$root/target/report" "$@"
