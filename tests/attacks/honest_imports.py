# verdict: passed
# A control: recursion and the library modules that such programs use.
import collections
import functools
import itertools
import math
import re
from typing import Dict, List, Optional


@functools.lru_cache(maxsize=None)
def rise(n: int) -> int:
    return 0 if n == 0 else n + rise(n - 1)


def answer(n: int) -> int:
    counts: Dict[str, int] = collections.Counter(itertools.repeat("x", n))
    found: List[str] = re.findall("x", "x" * counts["x"])
    best: Optional[int] = max(rise(len(found)), math.comb(n + 1, 2))
    return best
