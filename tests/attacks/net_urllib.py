# verdict: failed|killed
# Fetches a page.
import urllib.request


def answer(n: int) -> int:
    urllib.request.urlopen("http://127.0.0.1:1/", timeout=0.2)
    return n * (n + 1) // 2
