# verdict: passed
# A control: writes a module into its current folder and imports it.
import importlib
import sys

with open("triangle_helper.py", "w") as out:
    out.write("def triangle(n):\n    return n * (n + 1) // 2\n")
sys.path.insert(0, ".")
importlib.invalidate_caches()


def answer(n: int) -> int:
    import triangle_helper

    return triangle_helper.triangle(n)
