#!/usr/bin/env python3
"""Is a report of icl-mask right, and can it be used? Asked of a browser that shows it.

    report_browser.py [--pictures FOLDER] REPORT.html RESULTS_FOLDER...

The scores are read from the files of the results folders, not from the report, and compared with what the page shows:
in its table, beside its chart for every layer that is pointed at, in the heights of its markers, and in what its button
copies. The outputs of its first items are compared with the generations, and so are the weights of their options. Of the page itself it is asked that it says
nothing on the console, loads nothing, lets no text leave its box and no control out of the keyboard's reach, fits a
narrow screen, and comes back as it was from its address.

Exit code 0: all is well; 1: something is not; 2: the input cannot be judged.
"""

import argparse
import json
import math
import shutil
import sys
import traceback
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

WIDE, NARROW, HEIGHT = 1280, 390, 900
KEYS = {"BLEU": "bleu", "chrF": "chrf", "brevity penalty": "brevity_penalty", "pass@1": "pass@1", "accuracy": "accuracy"} | {
    f"{n}-gram precision": f"bleu{n}" for n in range(1, 5)
}
DIGITS = {metric: 3 if metric in ("pass@1", "brevity penalty", "accuracy") else 2 for metric in KEYS}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
# Ways for text to become markup or code.
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function")
UNSEEN = [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
ITEMS = 3
# Milliseconds until a control is taken to be missing.
TIMEOUT = 10_000


class Unjudgeable(Exception):
    """The input is not what the check needs."""


class Verdict:
    """What was found wrong, and how much was looked at."""

    def __init__(self):
        self.wrong = []
        self.looked = defaultdict(int)
        self.where = ""

    def check(self, what, right, words):
        self.looked[what] += 1
        if not right:
            text = f"{what}: {self.where}{words}"
            if text not in self.wrong:
                self.wrong.append(text)


# --- The results ---------------------------------------------------------------------------------------------


def score_files(folders):
    for name in folders:
        folder = Path(name)
        if not folder.is_dir():
            raise Unjudgeable(f"{folder} is no folder")
        yield from sorted([*folder.rglob("layer-*.json"), *folder.rglob("none/baseline.json")])


ABLATION = "ablate-attention"


@dataclass
class Cell:
    """One score file."""

    run: tuple  # the last parts of its run's folder: model, corpus and direction, format and what else makes a run
    key: tuple  # mask, format, nprompts, layer (None: the baseline)
    seed: int
    score: float
    seconds: float
    generations: Path


def read_results(folders, metrics):
    """{(model, data, direction): [Cell]}, scores by the first of these metrics that a file holds."""
    unknown = sorted(set(metrics) - set(KEYS))
    if unknown:
        raise Unjudgeable(f"the report is of {', '.join(unknown)}, which is not checked here")
    results = defaultdict(list)
    for path in score_files(folders):
        try:
            file = json.loads(path.read_text(encoding="utf-8"))
            score = file[next(KEYS[metric] for metric in metrics if KEYS[metric] in file)]
            layer = None if file["mask"] == "none" else file["from_layer"]
            key = (file["mask"], file["format"], file["nprompts"], layer)
            run = last_parts(path.parent.parent)
            cell = Cell(run, key, file["seed"], score, file["seconds"], path.with_suffix(".jsonl"))
            results[file["model"], file["data"], file.get("direction", "")].append(cell)
        except (OSError, ValueError, KeyError, StopIteration) as mistake:
            raise Unjudgeable(f"{path}: {mistake!r}") from None
    if not results:
        raise Unjudgeable("these folders hold no scores")
    return results


def last_parts(folder):
    return Path(folder).parts[-3:]


def by_cell(cells):
    """{(mask, format, nprompts, layer): {seed: Cell}}, or None where one is there twice."""
    found = defaultdict(dict)
    for cell in cells:
        if cell.seed in found[cell.key]:
            return None
        found[cell.key][cell.seed] = cell
    return found


def cells_of(panel, results):
    """The cells that a panel shows. Where settings differ, several panels have one model, corpus and direction."""
    place = (panel["model"], panel["data"], panel["direction"])
    if place not in results:
        raise Unjudgeable(f"no folder has results of {', '.join(place)}")
    runs = {last_parts(run["folder"]) for run in panel["runs"]}
    found = by_cell(results[place]) or by_cell(cell for cell in results[place] if cell.run in runs)
    if found is None:
        raise Unjudgeable(f"these folders have cells of {', '.join(place)} twice")
    # Masks and ablations have panels of their own, each with the baselines of its curves.
    ablation = any(curve["mask"] == ABLATION for curve in panel["curves"])
    treated = {key: seeds for key, seeds in found.items() if key[0] != "none" and (key[0] == ABLATION) == ablation}
    settings = {key[1:3] for key in treated}
    return treated | {key: seeds for key, seeds in found.items() if key[0] == "none" and key[1:3] in settings}


def mean_score(seeds):
    return sum(cell.score for cell in seeds.values()) / len(seeds)


def same(a, b):
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


def generations(path):
    """{item: its texts as they were generated and as they were cleaned}"""
    found = defaultdict(set)
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            record = json.loads(line)
            found[record["id"]] |= {seen(record["text"]), seen(record["clean"])}
    return found


# --- How numbers and texts are to look -----------------------------------------------------------------------


def seen(text):
    """As the page is to show it: nothing that cannot be seen or moves the text around it."""
    text = text.replace("\r\n", "\n")
    return "".join("\ufffd" if ord(c) in UNSEEN or c in "\u2028\u2029" else c for c in text)


def fixed(value, digits):
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.replace("-", "")).replace("-", "\u2212")


def shown(key, value, digits):
    """The text of a number, or several, in the table and beside the chart."""
    if key in ("p", "p_corrected", "vary_p"):
        return "< 0.001" if value < 0.001 else fixed(value, 3)
    if key == "seconds":
        return fixed(value, 1)
    if key == "seeds":
        return ", ".join(fixed(v, digits) for v in value)
    if isinstance(value, list):
        return " to ".join(fixed(v, digits) for v in value)
    return ("+" if key in ("difference", "vary_difference") and float(f"{value:.{digits}f}") > 0 else "") + fixed(value, digits)


def numbers(text):
    return [float(word) for word in (text or "").split()]


# --- One panel -----------------------------------------------------------------------------------------------


class Panel:
    """What one panel of the page has to show: scores from the files, the rest from the report's own data."""

    def __init__(self, data, results):
        self.data = data
        self.metric = data["metric"]
        self.digits = DIGITS[self.metric]
        if not any(curve["points"] for curve in data["curves"]):
            raise Unjudgeable(f"the report has no scores of {data['model']}, {data['data']}, {data['direction']}")
        self.cells = cells_of(data, results)

    def seeds(self, head, layer):
        mask, format, nprompts = head[0], head[1], int(head[2])
        if layer is not None:
            return self.cells.get((mask, format, nprompts, layer))
        # A baseline has the seeds of its curve.
        has = {seed for key, seeds in self.cells.items() if key[:3] == (mask, format, nprompts) for seed in seeds}
        baseline = self.cells.get(("none", format, nprompts, None)) or {}
        return {seed: cell for seed, cell in baseline.items() if mask == "none" or seed in has} or None

    def point(self, index, layer):
        curve = self.data["curves"][index]
        if layer is None:
            return curve["baseline"]
        return next((p for p in curve["points"] if p["layer"] == layer), None)

    def expected(self, key, index, head, layer):
        """The number or numbers under `key`, None where there are none."""
        seeds = self.seeds(head, layer)
        if key == "score":
            return mean_score(seeds) if seeds else None
        if key == "seeds":
            return [cell.score for _, cell in sorted(seeds.items())] if seeds else None
        if key == "seconds" and seeds and len(seeds) == 1 and layer is not None:
            return next(iter(seeds.values())).seconds
        return (self.point(index, layer) or {}).get(key)


def check_number(verdict, what, panel, key, expected, value, text, where):
    """One place of the page that shows a number: its full value and its text."""
    wanted = [] if expected is None else [expected] if not isinstance(expected, list) else expected
    got = numbers(value)
    right = len(got) == len(wanted) and all(map(same, got, wanted))
    verdict.check(what, right, f"{where} has {key} {value}, not {expected}")
    if wanted:
        words = shown(key, expected, panel.digits)
        verdict.check(what, text.strip() == words, f"{where} shows {key} as {text.strip()!r}, not {words!r}")


def check_table(verdict, page, panel):
    """Every view of the table, cell by cell; gives its curves' masks, formats and numbers of examples."""
    select = page.locator("select", has=page.locator("option[value=score]"))
    views = select.locator("option").evaluate_all("(options) => options.map((o) => o.value)")
    for view in views:
        select.select_option(view)
        table = page.evaluate("probe.table()")
        heads = [tuple(head) for head in table["heads"]]
        place = [panel.data[key] for key in ("model", "data", "direction")]
        verdict.check("table", table["place"] == place, f"it is of {table['place']}, not {place}")
        for row in table["rows"]:
            layer = None if row["layer"] is None else int(row["layer"])
            name = "baseline" if layer is None else str(layer)
            verdict.check("table", row["name"] == name, f"the row of {name} is called {row['name']!r}")
            for index, (head, (value, text)) in enumerate(zip(heads, row["cells"], strict=True)):
                expected = panel.expected(view, index, head, layer)
                check_number(verdict, "table", panel, view, expected, value, text, f"{head[0]}, {name}")
        if view == "score":
            check_complete(verdict, panel, heads, table["rows"])
    select.select_option("score")
    check_copied(verdict, page, panel, heads)
    return heads


def check_complete(verdict, panel, heads, rows):
    layers = {None if row["layer"] is None else int(row["layer"]) for row in rows}
    curves = {(mask, format, int(n)) for mask, format, n in heads}
    for mask, format, nprompts, layer in panel.cells:
        there = layer in layers and any(
            (format, nprompts) == curve[1:] and mask in (curve[0], "none") for curve in curves
        )
        verdict.check("table", there, f"{mask}, {format}, {nprompts} examples, layer {layer} is missing")


def check_copied(verdict, page, panel, heads):
    page.evaluate("probe.keepCopies()")
    page.get_by_role("button", name="Copy as TSV").click()
    lines = [line.split("\t") for line in page.evaluate("() => window.copied ?? ''").split("\n")[:-1]]
    verdict.check("copied table", len(lines) > 1, "nothing was copied")
    for line in lines[1:]:
        layer = None if line[0] == "baseline" else int(line[0])
        for index, head in enumerate(heads):
            expected = panel.expected("score", index, head, layer)
            got = numbers(line[index + 1])
            right = got == [] if expected is None else len(got) == 1 and same(got[0], expected)
            verdict.check("copied table", right, f"{head[0]}, {line[0]} is {line[index + 1]!r}, not {expected}")


# --- The chart -----------------------------------------------------------------------------------------------


def check_readout(verdict, what, page, panel, heads, layer):
    readout = page.evaluate("probe.readout()")
    verdict.check(what, readout["title"] == f"Layer {layer}", f"layer {layer} is called {readout['title']!r}")
    verdict.check(what, readout["now"] == str(layer), f"the chart says {readout['now']} at layer {layer}")
    for index, (head, values) in enumerate(zip(heads, readout["curves"], strict=True)):
        given = {key: (value, text) for key, value, text in values}
        band = "both" if panel.expected("both", index, head, layer) else "items"
        for key in ("score", band, "difference", "difference_interval", "p_corrected"):
            # An interval of the difference stands beside it.
            if key == "difference_interval" and "difference" not in given:
                continue
            expected = panel.expected(key, index, head, layer)
            check_number(verdict, what, panel, key, expected, *given.get(key, (None, "")), f"{head[0]}, layer {layer}")


def check_hover(verdict, page, panel, heads, touch=False):
    what = "touch" if touch else "hover"
    page.locator(".plot").scroll_into_view_if_needed()
    for curve, layer, x, y in page.evaluate("probe.chart()")["markers"]:
        # One curve is enough for a layer, and a few layers for a finger.
        first = next(i for i in range(len(heads)) if panel.point(i, layer))
        if curve != first or touch and layer % 7:
            continue
        page.touchscreen.tap(x, y) if touch else page.mouse.move(x, y)
        check_readout(verdict, what, page, panel, heads, layer)


def check_keys(verdict, page, panel, heads):
    layers = sorted({p["layer"] for curve in panel.data["curves"] for p in curve["points"]})
    page.locator(".plot").focus()
    page.keyboard.press("Home")
    for layer in layers:
        check_readout(verdict, "arrow keys", page, panel, heads, layer)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    check_readout(verdict, "arrow keys", page, panel, heads, layers[-1])
    page.keyboard.press("ArrowLeft")
    layer = layers[max(0, len(layers) - 2)]
    check_readout(verdict, "arrow keys", page, panel, heads, layer)
    if len(layers) > 1:
        page.wait_for_timeout(400)
        status = page.evaluate("probe.readout()")["status"]
        verdict.check("arrow keys", status.startswith(f"Layer {layer}."), f"layer {layer} is spoken as {status!r}")


def check_heights(verdict, page, panel, heads):
    """Markers and baselines stand where the axes say."""
    found = page.evaluate("probe.chart()")
    (low, bottom), (high, top) = found["scores"][0], found["scores"][-1]

    def height(score):
        return bottom + (top - bottom) * (score - low) / (high - low)

    across = dict(found["layers"])
    for index, layer, x, y in found["markers"]:
        score = panel.expected("score", index, heads[index], layer)
        right = score is not None and abs(y - height(score)) < 3
        verdict.check("markers", right, f"{heads[index][0]}, layer {layer} is not at the height of {score}")
        if layer in across:
            verdict.check(
                "markers", abs(x - across[layer]) < 2, f"{heads[index][0]}, layer {layer} is beside its layer"
            )
    points = sum(len(curve["points"]) for curve in panel.data["curves"])
    verdict.check("markers", len(found["markers"]) == points, f"there are {len(found['markers'])}, not {points}")
    wanted = sorted({mean_score(s) for head in heads if (s := panel.seeds(head, None))}, reverse=True)
    drawn = sorted(found["baselines"])
    right = len(drawn) == len(wanted) and all(abs(y - height(s)) < 3 for y, s in zip(drawn, wanted, strict=True))
    verdict.check("markers", right, f"baselines are drawn at {drawn}, not at the heights of {wanted}")


def check_legend(verdict, page, heads):
    for index, button in enumerate(page.locator(".legend").all()):
        drawn = page.locator(f".plot .marker[data-curve='{index}']")
        there = drawn.count()
        for pressed, wanted in (("false", 0), ("true", there)):
            button.focus()
            page.keyboard.press("Enter")
            right = button.get_attribute("aria-pressed") == pressed and drawn.count() == wanted
            verdict.check(
                "legend", right, f"{heads[index][0]} is not switched {'on' if wanted else 'off'} by its button"
            )


# --- Texts ---------------------------------------------------------------------------------------------------


def check_outputs(verdict, page, panel, item, mask):
    """The rows of one item are what was generated, and no layer is without one."""
    run = panel.data["runs"][0]
    found = set()
    for layers, name, text in page.evaluate("probe.outputs()"):
        for layer in [int(word) for word in layers.split()] or [None]:
            found.add(layer)
            seeds = panel.seeds((mask, run["format"], run["nprompts"]), layer) or {}
            texts = generations(seeds[run["seed"]].generations)[item["id"]] if run["seed"] in seeds else set()
            verdict.check("outputs", text in texts, f"{item['id']}, {name}: {text[:60]!r} is not what was generated")
    there = {o["layer"] for o in item["outputs"] if o["run"] == 0 and o["mask"] in (mask, "none")}
    verdict.check("outputs", found == there, f"{item['id']} has rows for {len(found)} of {len(there)} layers")


def weights(path):
    """{item: (texts of its options, their log-probabilities, number of the right one)}, of a cell that weighed some."""
    found = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        record = json.loads(line) if line else {}
        if "options" in record:
            options = record["options"]
            texts = [seen(option["text"]) or "(empty)" for option in options]
            found[record["id"]] = (texts, [option["logprob"] for option in options], record["right"])
    return found


def expected_weights(cell, names, view):
    """The numbers of the named options in a cell; in the view of probabilities, also that of all others."""
    texts, logprobs, _ = cell
    most = max(logprobs)
    total = sum(math.exp(log - most) for log in logprobs)
    numbers = logprobs if view == "logprob" else [math.exp(log - most) / total for log in logprobs]
    numbers = dict(zip(texts, numbers, strict=True))
    named = [numbers[name] for name in names if name is not None]
    return named + [1 - sum(named)] * (None in names)


def check_options(verdict, page, panel, item, mask):
    """Chart and table of an item's options, in both views, against the generations."""
    run = panel.data["runs"][0]
    select = page.locator("select", has=page.locator("option[value=logprob]"))
    for view in ("probability", "logprob"):
        if page.evaluate("probe.options()") is None:
            verdict.check("options", not item.get("options"), f"{item['id']} has options that are not shown")
            return
        select.select_option(view)
        # The chart is drawn when its place has a size.
        page.wait_for_timeout(100)
        found = page.evaluate("probe.options()")
        drawn = sum(name is not None for name in found["names"])
        verdict.check("options", found["view"] == view, f"{item['id']} shows {found['view']}, not {view}")
        wanted = {"lines": drawn, "heavy": 1, "baselines": drawn, "markers": drawn * len(found["rows"])}
        for key, number in wanted.items():
            verdict.check("options", found[key] == number, f"{item['id']} has {found[key]} {key}, not {number}")
        verdict.check("options", all(found["said"]), f"{item['id']}: the chart does not say what it shows")
        for row in found["rows"]:
            layer = None if row["layer"] is None else int(row["layer"])
            seeds = panel.seeds((mask, run["format"], run["nprompts"]), layer) or {}
            cell = weights(seeds[run["seed"]].generations)[item["id"]]
            where = f"{item['id']}, {mask}, {layer}"
            right = found["names"][0] == cell[0][cell[2]]
            verdict.check("options", right, f"{where}: {found['names'][0]!r} is not the right option")
            numbers = expected_weights(cell, found["names"], view)
            close = all(abs(a - b) <= 6e-4 * max(abs(b), 0.1) for a, b in zip(row["values"], numbers, strict=True))
            verdict.check("options", close, f"{where} shows {row['values']}, not {numbers}")
    select.select_option("probability")


def check_items(verdict, page, panel):
    """The first items of the first run, with every intervention."""
    if not panel.data["runs"]:
        return
    for item in panel.data["examples"][:ITEMS]:
        masks = {o["mask"] for o in item["outputs"] if o["run"] == 0 and o["layer"] is not None}
        for mask in sorted(masks):
            page.get_by_label("Intervention").last.select_option(mask)
            check_outputs(verdict, page, panel, item, mask)
            check_options(verdict, page, panel, item, mask)
        page.get_by_role("button", name="Next").focus()
        page.keyboard.press("ArrowRight")


def check_strange(verdict, page, title):
    """Texts of models and corpora stay texts."""
    verdict.check("safe texts", page.title().split() == seen(title).split(), f"the page's title is {page.title()!r}")
    found = page.evaluate("(unseen) => probe.strange(unseen)", UNSEEN)
    codes = ", ".join(f"U+{code:04X}" for code in found["unseen"])
    verdict.check("safe texts", not codes, f"characters that cannot be seen are on the page: {codes}")
    verdict.check("safe texts", found["scripts"] == 2, f"there are {found['scripts']} scripts, not two")
    verdict.check(
        "safe texts", not found["others"], f"there are elements that the page does not make: {found['others']}"
    )


# --- The page ------------------------------------------------------------------------------------------------


def check_layout(verdict, page, width):
    inside = page.evaluate("() => document.documentElement.scrollWidth")
    verdict.check("width", inside <= width, f"the page is {inside} pixels wide on a screen of {width}")
    for question in ("textsOutside", "boxesTooSmall", "chartTexts"):
        found = page.evaluate(f"probe.{question}()")
        verdict.check("overflow", not found, "; ".join(found[:5]))
    if width == NARROW:
        small = page.evaluate("probe.small()")
        verdict.check("size of controls", not small, f"smaller than 40 pixels: {small}")


def check_keyboard(verdict, page):
    """Tab comes to every control, and one sees where it is."""
    controls = page.evaluate("probe.controls()")
    page.mouse.click(1, 1)
    reached = set()
    # The page's end gives the focus back to the browser, which is seen as the body.
    for _ in range(2 * len(controls) + 50):
        page.keyboard.press("Tab")
        body, index, ring = page.evaluate("probe.focus()")
        if body and reached:
            break
        if index >= 0:
            verdict.check("keyboard", ring, f"no focus is seen on {controls[index]!r}")
            reached.add(index)
    for index, name in enumerate(controls):
        verdict.check("keyboard", index in reached, f"{name!r} is not reached")


def check_names(verdict, page):
    """Whoever listens to the page is told what each thing is that can have the focus."""
    session = page.context.new_cdp_session(page)
    session.send("Accessibility.enable")
    for node in session.send("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        focusable = any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
        if focusable and role != "RootWebArea":
            verdict.check("names", bool(node.get("name", {}).get("value", "").strip()), f"a {role} has no name")
    session.detach()


def check_address(verdict, open_page, page):
    """What is chosen is in the address, and comes back from it."""
    page.locator(".plot").focus()
    page.keyboard.press("Home")
    page.locator(".legend").last.click()
    for name in ("Item", "Shown"):
        select = page.get_by_label(name, exact=True)
        if select.count():
            select.select_option(index=select.locator("option").count() - 1)
    intervention = page.get_by_label("Intervention").first
    if intervention.count():
        intervention.select_option(index=0)
    page.wait_for_timeout(500)
    before = page.evaluate("probe.state()")
    again = open_page(WIDE, "light", page.evaluate("() => location.hash"))
    after = again.evaluate("probe.state()")
    for key in before:
        verdict.check(
            "address", before[key] == after[key], f"{key} was {before[key]!r} and came back as {after[key]!r}"
        )
    again.context.close()


def check_file(verdict, text):
    for word in FORBIDDEN:
        verdict.check("file", word not in text, f"it has {word!r}")
    verdict.check("file", f'content="{POLICY}"' in text, "it has no content security policy, or another one")


# --- All of it -----------------------------------------------------------------------------------------------


def opener(browser, report, verdict):
    url = report.resolve().as_uri()

    def open_page(width, scheme, address=""):
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, has_touch=width == NARROW
        )
        context.set_default_timeout(TIMEOUT)
        context.add_init_script(path=Path(__file__).with_suffix(".js"))
        page = context.new_page()
        page.on("console", lambda m: verdict.check("console", False, f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: verdict.check("console", False, f"exception: {e}"))
        page.on(
            "request", lambda r: verdict.check("network", r.url.split("#")[0] == url, f"{r.url[:200]} was asked for")
        )
        page.goto(url + address)
        page.wait_for_timeout(200)
        return page

    return open_page


def choose_panel(page, index, several):
    if several:
        page.locator(".overview button").nth(index).focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(150)


def check_wide(verdict, open_page, panels, title):
    page = open_page(WIDE, "light")
    for index, panel in enumerate(panels):
        verdict.where = f"panel {index + 1}, " if len(panels) > 1 else ""
        choose_panel(page, index, len(panels) > 1)
        check_names(verdict, page)
        heads = check_table(verdict, page, panel)
        check_heights(verdict, page, panel, heads)
        check_hover(verdict, page, panel, heads)
        check_keys(verdict, page, panel, heads)
        check_legend(verdict, page, heads)
        check_items(verdict, page, panel)
        check_strange(verdict, page, title)
        check_keyboard(verdict, page)
        check_layout(verdict, page, WIDE)
        check_address(verdict, open_page, page)
    page.context.close()


def check_narrow(verdict, open_page, panels):
    page = open_page(NARROW, "dark")
    for index, panel in enumerate(panels):
        verdict.where = f"panel {index + 1}, {NARROW} wide, " if len(panels) > 1 else f"{NARROW} wide, "
        choose_panel(page, index, len(panels) > 1)
        heads = [tuple(head) for head in page.evaluate("probe.table()")["heads"]]
        check_hover(verdict, page, panel, heads, touch=True)
        page.evaluate("probe.controls()")
        check_layout(verdict, page, NARROW)
    page.context.close()


def take_picture(page, path, tries=5):
    from playwright.sync_api import Error

    try:
        page.screenshot(path=path, full_page=True)
    except Error as mistake:
        # On a busy machine Chromium now and then cannot take a picture of a long page, and can a moment later.
        if tries == 1 or "Unable to capture screenshot" not in str(mistake):
            raise
        page.wait_for_timeout(500)
        take_picture(page, path, tries - 1)


def take_pictures(open_page, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    for width in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            page = open_page(width, scheme)
            take_picture(page, folder / f"{name}-{width}-{scheme}.png")
            page.context.close()


def read_report(path):
    try:
        text = path.read_text(encoding="utf-8")
        data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
        return text, json.loads(data)
    except (OSError, IndexError, ValueError) as mistake:
        raise Unjudgeable(f"{path}: {mistake!r}") from None


def judge(args):
    from playwright.sync_api import Error, sync_playwright

    report = Path(args.report)
    text, data = read_report(report)
    results = read_results(args.folders, sorted({panel["metric"] for panel in data["panels"]}))
    panels = [Panel(panel, results) for panel in data["panels"]]
    verdict = Verdict()
    places = {(p["model"], p["data"], p["direction"]) for p in data["panels"]}
    for place in results:
        verdict.check("panels", place in places, f"{', '.join(place)} is missing")
    check_file(verdict, text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        open_page = opener(browser, report, verdict)
        if args.pictures:
            take_pictures(open_page, Path(args.pictures), report.stem)
        try:
            check_wide(verdict, open_page, panels, data["title"])
            check_narrow(verdict, open_page, panels)
        except Error as mistake:
            verdict.check("page", False, f"it cannot be used as it should: {mistake}")
        print(f"Chromium {browser.version}")
        browser.close()
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("report", metavar="REPORT.html")
    parser.add_argument("folders", nargs="+", metavar="RESULTS_FOLDER", help="what the report was made from")
    parser.add_argument("--pictures", metavar="FOLDER", help="save pictures of the page there")
    args = parser.parse_args()
    try:
        verdict = judge(args)
    except Unjudgeable as mistake:
        print(f"check-report: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against the report.
        traceback.print_exc()
        return 2
    for what, count in verdict.looked.items():
        print(f"  {what:18} {count:6} checked")
    print(f"wrong: {len(verdict.wrong)}")
    for words in verdict.wrong:
        print(f"  {words}")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
