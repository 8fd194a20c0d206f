# verdict: failed|timeout
# An integer of ten million bits, slow to write in decimal.
import sys

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


def answer(n: int) -> int:
    return 2 ** (10**7)
