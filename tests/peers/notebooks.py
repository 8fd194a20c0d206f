#!/usr/bin/env python3
"""Execute notebooks from a clean kernel and write them as HTML.

    notebooks.py --out FOLDER NOTEBOOK...

The notebooks themselves are left as they are, and must hold neither outputs nor execution counts. Each is executed in the
folder that it lies in. Exit code: 0 all went through; 1 a notebook holds outputs, a cell failed, or something was warned
of (whatever a cell writes to stderr counts, and what nbconvert says); 2 a notebook cannot be read.
"""

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

CELL_SECONDS = 300
# Kernels listen on sockets of the file system, where nobody else can reach them.
KERNEL = Config({"KernelManager": {"transport": "ipc"}})


class Kept(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def left_over(notebook):
    """What a committed notebook should not hold."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.get("outputs"):
            yield f"cell {number} holds outputs: clear them before committing"
        if cell.get("execution_count") is not None:
            yield f"cell {number} holds an execution count: clear it before committing"


def written_to_stderr(notebook):
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                yield f"cell {number} warns: {output.text.strip()}"


def execute(path, out):
    """What is wrong with a notebook, executed and written to `out`."""
    notebook = nbformat.read(path, as_version=4)
    wrong = list(left_over(notebook))
    if wrong:
        return wrong
    kept = Kept()
    loggers = [logging.getLogger(name) for name in ("nbclient", "nbconvert", "traitlets")]
    for logger in loggers:
        logger.addHandler(kept)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        # Python's own filter: deprecations are shown where a cell causes them, not deep in a package.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        try:
            NotebookClient(
                notebook,
                timeout=CELL_SECONDS,
                kernel_name="python3",
                config=KERNEL,
                resources={"metadata": {"path": str(path.parent)}},
            ).execute()
        except CellExecutionError as error:
            return [str(error)]
        # The template that writes the texts of images.
        html, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    for logger in loggers:
        logger.removeHandler(kept)
    target = out / f"{path.stem}.html"
    partial = target.with_suffix(".partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(target)
    return [*written_to_stderr(notebook), *kept.messages, *(str(warning.message) for warning in warned)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the HTML files")
    parser.add_argument("notebooks", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for path in arguments.notebooks:
        began = time.monotonic()
        try:
            wrong = execute(path.resolve(), arguments.out)
        except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for message in wrong:
            print(f"{path.name}: {message}", file=sys.stderr)
        failed |= bool(wrong)
        if not wrong:
            print(f"{path.name}: {time.monotonic() - began:.0f} s, {arguments.out / path.stem}.html")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
