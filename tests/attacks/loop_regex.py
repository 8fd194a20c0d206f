# verdict: timeout
# A regular expression that backtracks for ages.
import re


def answer(n: int) -> int:
    return len(re.findall(r"^(a+)+$", "a" * 60 + "b"))
