#!/usr/bin/env python3
"""Execute notebooks from a clean kernel and write them as HTML.

    notebooks.py --out FOLDER NOTEBOOK...

The notebooks themselves are left as they are, and must hold neither outputs nor execution counts. Each is executed in the
folder that it lies in. Exit code: 0 all went through; 1 a notebook holds outputs, a cell failed, or something was warned
of (whatever a cell or its kernel writes to stderr counts, and what nbconvert says); 2 a notebook cannot be read.
"""

import argparse
import logging
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbconvert import HTMLExporter
from traitlets.config import Config

CELL_SECONDS = 300
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


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


def run(notebook, folder):
    """Execute a notebook in a folder, with a kernel of its own; what its process says on stderr."""
    with tempfile.TemporaryDirectory() as sockets, tempfile.TemporaryFile("w+") as said:
        NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            # Sockets of the file system, which nobody else can reach.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
            resources={"metadata": {"path": str(folder)}},
        ).execute(stderr=said)
        said.seek(0)
        return said.read().strip()


def execute(path, out, kept):
    """What is wrong with a notebook, executed and written to `out`."""
    notebook = nbformat.read(path, as_version=4)
    wrong = list(left_over(notebook))
    if wrong:
        return wrong
    kept.messages.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        # Python's own filter: deprecations are shown where a cell causes them, not deep in a package.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        try:
            said = run(notebook, path.parent)
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            return [COLOURS.sub("", str(error)).strip()]
        # The template that writes the texts of images.
        html, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    target = out / f"{path.stem}.html"
    partial = target.with_suffix(".partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(target)
    wrong = [*written_to_stderr(notebook), *kept.messages, *(str(warning.message) for warning in warned)]
    return wrong + ([f"the kernel says: {said}"] if said else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the HTML files")
    parser.add_argument("notebooks", type=Path, nargs="+")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = Kept()
    for name in ("nbclient", "nbconvert", "traitlets"):
        logging.getLogger(name).addHandler(kept)
    failed = False
    for path in arguments.notebooks:
        began = time.monotonic()
        try:
            wrong = execute(path.resolve(), arguments.out, kept)
        except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for message in wrong:
            print(f"{path.name}: {message}", file=sys.stderr)
        failed |= bool(wrong)
        if not wrong:
            page = arguments.out / f"{path.stem}.html"
            print(f"{path.name}: {time.monotonic() - began:.0f} s, {page}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
