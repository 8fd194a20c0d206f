"""reviews: sentences of movie reviews; is the opinion positive or negative?"""

import collections
import io
import re
import tarfile

from tasks.items import Item, find, split

MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
# Means of about twenty readers' ratings from -4 to 4: nearer to 0 than this, readers did not agree.
CLEAR = 1.0
WORDS = range(5, 41)
# A dash left a gap of several spaces; markup, stars and odd characters are remains of web pages; two sentences without
# a space are a lost line end; small letters and dots begin what was cut out of a sentence.
DAMAGED = re.compile(r"  |[`*=#½ãæ]|[a-z]\.[A-Za-z]|^[^A-Z\"'(]|\.\.\.$| [,;:!?)]|\( ")


def tidy(text):
    text = text.strip().replace("&amp;", "&").replace("''", '"').replace("\u2019", "'").replace("\u2013", "-")
    whole = not DAMAGED.search(text) and text.count('"') % 2 == 0 and text.count("(") == text.count(")")
    return text if whole and len(text.split()) in WORDS else None


def build(root):
    with tarfile.open(find(root, "additional_resources/hutto_ICWSM_2014.tar.gz")) as archive:
        content = archive.extractfile(MEMBER).read().decode("utf-8")
    found = collections.defaultdict(list)
    for line in io.StringIO(content, newline="\n"):
        number, rating, text = line.rstrip("\r\n").split("\t")
        text = tidy(text)
        if text and abs(float(rating)) >= CLEAR:
            item = Item(number, text, ["positive" if float(rating) > 0 else "negative"])
            found[item.key].append(item)
    # A sentence that two people rated differently has no clear answer.
    items = [same[0] for same in found.values() if len({item.targets[0] for item in same}) == 1]
    return split(items, balanced=True)
