#!/usr/bin/env python3
"""Writes sampling.json: the rows that pandas draws, for tests/sampling_goldens.rs.

    pip install pandas
    python tests/goldens/make_sampling.py

Every case is `DataFrame(...).sample(n=k, random_state=seed)` itself, not a shortcut through numpy.
"""

import json
import pathlib

import numpy
import pandas

SEEDS = [*range(10), 42, 2**32 - 1]
# 174 and 197 are the numbers of demonstrations of MBPP and FLORES in the published study; 256 and 257 lie on
# both sides of a power of two, where the bit mask of the rejection step grows.
SIZES = {1: [0, 1], 2: [1, 2], 5: [5], 174: [5], 197: [5, 197], 256: [5], 257: [5], 1000: [5, 10], 70000: [5, 20]}


def main() -> None:
    cases = []
    for n, ks in SIZES.items():
        frame = pandas.DataFrame({"row": range(n)})
        for k in ks:
            for seed in SEEDS:
                rows = frame.sample(n=k, random_state=seed)["row"].tolist()
                cases.append({"n": n, "k": k, "seed": seed, "rows": rows})
    versions = {"pandas": pandas.__version__, "numpy": numpy.__version__}
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    text = f'{{"versions": {json.dumps(versions)},\n "cases": [\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("sampling.json").write_text(text)


if __name__ == "__main__":
    main()
