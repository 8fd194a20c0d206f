"""Makes tests/goldens/parquet/: small Parquet files, and rows.json: what pyarrow reads in them.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install pyarrow==26.0.1 numpy
    /tmp/peers/bin/python tests/goldens/make_parquet.py

`read`: the rows of the files that are read, as JSON objects. `refused`: files that are not, and what is said. The file records the
versions that it was made with.
"""

import json
import pathlib

import numpy
import pyarrow
import pyarrow.parquet

FOLDER = pathlib.Path(__file__).parent / "parquet"

TEXT, INT = pyarrow.string(), pyarrow.int64()
PAIR = pyarrow.struct([("en", TEXT), ("fr", TEXT)])

WORDS = [("one", "un"), ("two", "deux"), ("three", "trois"), ("four", "quatre"), ("the \"end\"\n", "la «fin»")]

READ = {
    # As the library `datasets` keeps translations.
    "translation": (
        {"id": (INT, [3, 4, 5, 6, 7]), "translation": (PAIR, [{"en": en, "fr": fr} for en, fr in WORDS])},
        {"compression": "snappy", "row_group_size": 2},
    ),
    # Several right answers in a struct of lists, and a column of nulls.
    "answers": (
        {
            "id": (TEXT, ["a", "b", "c"]),
            "title": (TEXT, [None, "T", None]),
            "nothing": (pyarrow.null(), [None, None, None]),
            "question": (TEXT, ["Who?", "Where?", "When?"]),
            "answers": (
                pyarrow.struct([("text", pyarrow.list_(TEXT)), ("answer_start", pyarrow.list_(pyarrow.int32()))]),
                [
                    {"text": ["she", "her"], "answer_start": [0, 7]},
                    {"text": ["here"], "answer_start": []},
                    {"text": ["1999", "in 1999", "99"], "answer_start": [1, 2, 3]},
                ],
            ),
        },
        {"compression": "zstd"},
    ),
    # Labels are the numbers of classes; texts repeat, so that a dictionary holds them.
    "labels": (
        {
            "text": (TEXT, [["good", "bad", "so so"][at % 3] + f" {at % 7}" for at in range(60)]),
            "label": (pyarrow.int8(), [at % 3 for at in range(60)]),
            "idx": (pyarrow.int32(), list(range(60))),
            "choices": (pyarrow.list_(TEXT), [["0", "1", "2"]] * 60),
        },
        {"compression": "gzip", "row_group_size": 25, "data_page_size": 64},
    ),
    # Everything that JSON has, in pages of the second version.
    "kinds": (
        {
            "source": (pyarrow.large_string(), ["s", "t", "u", "v"]),
            "target": (TEXT, ["a", "b", "c", "d"]),
            "truth": (pyarrow.bool_(), [True, None, False, True]),
            "small": (pyarrow.uint8(), [0, 255, None, 7]),
            "large": (pyarrow.uint64(), [2**64 - 1, 0, 1, None]),
            "low": (INT, [-(2**63), 2**63 - 1, 0, -1]),
            "single": (pyarrow.float32(), [0.1, -1.5, None, 1e-30]),
            "double": (pyarrow.float64(), [0.1, -1.5, None, 1e300]),
            "bytes": (pyarrow.binary(), [b"utf-8: \xc3\xa9", b"", None, b"x"]),
            "deep": (
                pyarrow.list_(pyarrow.list_(pyarrow.struct([("a", INT), ("b", pyarrow.list_(TEXT))]))),
                [
                    [[{"a": 1, "b": ["x", None]}, None], [], None],
                    [],
                    None,
                    [[{"a": None, "b": None}, {"a": 2, "b": []}], [{"a": 3, "b": ["y"]}]],
                ],
            ),
            "maybe": (pyarrow.struct([("inner", PAIR)]), [None, {"inner": None}, {"inner": {"en": "e", "fr": None}}, None]),
        },
        {"compression": "zstd", "data_page_version": "2.0", "use_dictionary": False},
    ),
    # No packing, no dictionary.
    "plain": (
        {"source": (TEXT, ["s", "t"]), "target": (pyarrow.list_(TEXT), [["a"], ["b", "c"]])},
        {"compression": "none", "use_dictionary": False},
    ),
}

MILLIONS = 2**21 + 1

REFUSED = {
    "no-rows": ({"source": (TEXT, []), "target": (TEXT, [])}, {}, "no-rows.parquet has no rows"),
    "brotli": (
        {"source": (TEXT, ["s"]), "target": (TEXT, ["a"])},
        {"compression": "brotli"},
        "brotli.parquet: cannot be read (its column `source` is packed with BROTLI; write the file again with snappy, zstd or gzip)",
    ),
    "lz4": (
        {"source": (TEXT, ["s"]), "target": (TEXT, ["a"])},
        {"compression": {"source": "snappy", "target": "lz4"}},
        "its column `target` is packed with LZ4_RAW",
    ),
    "delta": (
        {"source": (TEXT, ["s"]), "target": (TEXT, ["a"])},
        {"use_dictionary": False, "column_encoding": {"source": "PLAIN", "target": "DELTA_BYTE_ARRAY"}},
        "its column `target` is encoded as DELTA_BYTE_ARRAY",
    ),
    "bytes": (
        {"source": (TEXT, ["s", "t"]), "target": (pyarrow.binary(), [b"a", b"\xff\xfe"])},
        {},
        "bytes.parquet: row 2 has a `target` whose bytes are not UTF-8",
    ),
    "times": (
        {"source": (TEXT, ["s"]), "target": (pyarrow.timestamp("ns"), [5])},
        {},
        "times.parquet: row 1 has a `target` of the type TIMESTAMP, which is not read",
    ),
    "null": (
        {"source": (TEXT, ["s", None]), "target": (TEXT, ["a", "b"])},
        {},
        "null.parquet: row 2 has a `source` that is not a string",
    ),
    "ids": (
        {"id": (INT, [1, 1]), "source": (TEXT, ["s", "t"]), "target": (TEXT, ["a", "b"])},
        {"row_group_size": 1},
        "ids.parquet: row 2 has the id `1` again (first as row 1)",
    ),
    "columns": (
        {"question": (TEXT, ["s"]), "answer": (pyarrow.struct([("text", TEXT), ("start", INT)]), [{"text": "a", "start": 3}])},
        {},
        "columns.parquet: row 1 has no column `source` (it has question, answer.text, answer.start)",
    ),
    # A few hundred bytes that would be decoded as millions of values.
    "long-list": (
        {
            "source": (TEXT, ["s"]),
            "target": (TEXT, ["a"]),
            "numbers": (pyarrow.list_(pyarrow.int32()), pyarrow.ListArray.from_arrays([0, MILLIONS], numpy.zeros(MILLIONS, "int32"))),
        },
        {"compression": "zstd"},
        "its column `numbers` has more than 2097152 values in lists that are read together",
    ),
}


def write(name, columns, options):
    """Writes a file; the table that pyarrow reads in it."""
    arrays = [values if isinstance(values, pyarrow.Array) else pyarrow.array(values, kind) for kind, values in columns.values()]
    table = pyarrow.table(arrays, names=list(columns))
    path = FOLDER / f"{name}.parquet"
    pyarrow.parquet.write_table(table, path, store_schema=False, **options)
    assert path.stat().st_size < 8000, (path, path.stat().st_size)
    return pyarrow.parquet.read_table(path)


def single(value):
    """A number of 32 bits by the fewest digits that mean it."""
    return None if value is None else float(str(numpy.float32(value)))


def read(name, columns, options):
    table = write(name, columns, options)
    rows = table.to_pylist()
    for row in rows:
        if "single" in row:
            row["single"] = single(row["single"])
        for key, value in row.items():
            row[key] = value.decode() if isinstance(value, bytes) else value
    return rows


FOLDER.mkdir(exist_ok=True)
for old in FOLDER.glob("*.parquet"):
    old.unlink()
golden = {
    "versions": {"pyarrow": pyarrow.__version__, "numpy": numpy.__version__},
    "read": {name: read(name, *made) for name, made in READ.items()},
    "refused": {},
}
for name, (columns, options, says) in REFUSED.items():
    write(name, columns, options)
    golden["refused"][name] = says
with open(FOLDER / "rows.json", "w") as file:
    json.dump(golden, file, ensure_ascii=False, indent=1)
    file.write("\n")
