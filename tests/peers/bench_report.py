"""The raw numbers of bench.py as Markdown.

    bench_report.py target/bench/MODEL.json
"""

import json
import sys
from statistics import median

import numpy as np


def table(head, rows):
    lines = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def spread(values, form):
    """Median, and the range where there is one."""
    middle = form.format(median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))} to {form.format(max(values))})"


def whole_sweep(times, layers):
    """Seconds of the baseline and every start layer, those between the measured ones interpolated."""
    starts = sorted(layer for layer in times if layer < layers)
    return times[layers] + float(np.interp(range(layers), starts, [times[layer] for layer in starts]).sum())


def loops(raw):
    """{kind: seconds a generation of a whole sweep, a round each}"""
    n_cells, found = raw["layers"] + 1, {}
    for kind, items in (("study", raw["items"]), ("tuned", raw["items"]), ("tuned-many", raw["many"])):
        if raw[kind]:
            once = 0 if kind == "study" else raw["context_seconds"]
            found[kind] = [(whole_sweep(t, raw["layers"]) + once) / (n_cells * items) for t in raw[kind]]
    return found


def sweep_table(raw):
    ours = {
        (kind, what): [run[what] / run["generations"] for run in raw["ours"][kind]]
        for kind in ("no-stop", "stop")
        for what in ("compute", "wall")
    }
    generations = raw["ours"]["no-stop"][0]["generations"]
    tokens = raw["new_tokens"]
    every = f"{tokens} tokens each" if raw["no_stop"] else "stopping at the end of text"
    names = {
        ("no-stop", "compute"): f"icl-mask, {every}",
        ("no-stop", "wall"): "the same, whole process with loading",
        ("stop", "compute"): "icl-mask, exact stopping",
        ("stop", "wall"): "the same, whole process with loading",
    }
    rows = [(names[k], spread(v, "{:.3f}"), f"{median(v) * generations:.1f}", "", "") for k, v in ours.items()]
    names = {"study": "(a) the study's loop, batch 4"}
    if "probe" in raw:
        few, best = raw["probe"]["few"], raw["probe"]["best"]
        names["tuned"] = f"(b) tuned loop, batch {few['batch']}, {few['kernel']}"
        names["tuned-many"] = f"(b) the same on {raw['many']} items, batch {best['batch']}, {best['kernel']}"
    for kind, each in loops(raw).items():
        ratios = [
            spread([a / b for a, b in zip(each, ours[k, "compute"])], "{:.2f}") for k in ("no-stop", "stop")
        ]
        rows.append((names[kind], spread(each, "{:.3f}"), f"{median(each) * generations:.1f}", *ratios))
    head = ("", "seconds a generation", f"{generations} generations, s", f"times icl-mask's, {every}",
            "times icl-mask's, exact stopping")  # fmt: skip
    return table(head, rows)


def cell_table(raw):
    rows = []
    for kind, items in (("study", raw["items"]), ("tuned", raw["items"]), ("tuned-many", raw["many"])):
        if raw[kind]:
            each = [f"{median([t[cell] for t in raw[kind]]) / items:.3f}" for cell in raw["cells"]]
            rows.append((f"{kind}, {items} items", *each))
    return table(("", "baseline", *(f"from {cell}" for cell in raw["cells"][1:])), rows)


def output_table(raw):
    rows = []
    for what, o in raw["outputs"].items():
        if what == "llama":
            said = f"{o['tokens_before']:.1%} of tokens stand before the first difference"
        elif "ties" in o:
            said = f"{o['ties']} part at a near-tie, {o['different']} otherwise"
        else:
            said = ""
        rows.append((what, o["generations"], o["identical"], said))
    text = table(("compared with icl-mask", "generations", "identical", ""), rows)
    text += "\n" if raw["differences"] else ""
    for d in raw["differences"]:
        text += f"\n- {d['kind']}, from layer {d['from_layer']}, {d['item']}: token {d['at']}, gap {d['gap']:.1e}"
    return text


def memory_table(raw):
    planned = raw["planned"]
    names = {"no-stop": ("whole sweep, no stop", planned["sweep"]), "stop": ("whole sweep", planned["sweep"]),
             "baseline": (f"baseline, {raw['many']} items, no stop", planned["baseline"])}  # fmt: skip
    rows = []
    for kind, (name, plan) in names.items():
        runs = raw["ours"][kind]
        rate = f"{median([run['gflops'] for run in runs]):.0f}"
        peak = f"{max(run['peak'] for run in runs):.2f}"
        rows.append((name, peak, f"{plan:.2f}", runs[0]["generated_tokens"], rate))
    return table(("icl-mask", "peak GiB", "`--dry-run` says", "generated tokens", "GFLOP/s as computed"), rows)


def llama_part(raw):
    llama = raw["llama"]
    batches = sorted(llama["speed"]["f32"][0]["decode"], key=int)
    rows = []
    for kind, answers in llama["speed"].items():
        decode = [f"{median([a['decode'][b] for a in answers]):.0f}" for b in batches]
        name = f"{kind} (weights not repacked: it crashes)" if answers[0]["plain"] else kind
        rows.append((name, f"{median([a['prefill'] for a in answers]):.0f}", *decode))
    best = llama["probe"]["best"]
    how = f"batch {best['batch']}, {'one' if best['unified'] else 'no common'} buffer of keys and values"
    how += f", flash attention {'on' if best['flash'] else 'off'}"
    many, theirs = raw["many"], [p["seconds"] for p in llama["pass"]]
    ours = [run["compute"] for run in raw["ours"]["baseline"]]
    ratios = [a / b for a, b in zip(theirs, ours)]
    passes = [
        (f"llama.cpp, f32 file, f32 keys and values, {how}", spread(theirs, "{:.2f}"), f"{median(theirs) / many:.3f}",
         spread(ratios, "{:.2f}")),
        ("icl-mask", spread(ours, "{:.2f}"), f"{median(ours) / many:.3f}", "1"),
    ]  # fmt: skip
    tried = [
        (t["batch"], "one" if t["unified"] else "each", "on" if t["flash"] else "off", f"{t['each']:.3f}")
        for t in llama["probe"]["tried"]
    ]
    return "\n\n".join([
        f"llama-cpp-python {llama['version']}, {llama['system'].strip(' |')}",
        f"Tokens a second: prefill of one prompt of {llama['speed']['f32'][0]['prompt_tokens']} tokens, decoding with "
        "little context, by sequences:",
        table(("file", "prefill", *batches), rows),
        f"The baseline of {many} items, {raw['new_tokens']} tokens each, the common context computed once, without "
        "loading:",
        table(("", "seconds", "a generation", "times icl-mask's"), passes),
        "How its attention and batch were chosen, seconds a generation:",
        table(("batch", "keys and values", "flash attention", ""), tried),
    ])  # fmt: skip


def product_part(raw):
    rows, matmul = raw["product_rows"], raw["matmul"]
    best = {
        name: [max(p["shapes"][name][i] for p in raw["products"]) for i in range(len(rows))]
        for name in raw["products"][0]["shapes"]
    }
    square = {n: max(p["square"][n] for p in raw["products"]) for n in raw["products"][0]["square"]}
    square = ", ".join(f"{n}: {speed:.0f}" for n, speed in square.items())
    parts = [
        f"torch {raw['torch']}, float32, {raw['threads']} threads, GFLOP/s of the fastest product, by rows:",
        table(("weight", *rows), [(name, *(f"{v:.0f}" for v in values)) for name, values in best.items()]),
        f"Square matrices: {square}.",
    ]
    if matmul:
        parts.append("The engine's own products (`cargo bench --bench matmul`):")
        parts.append(f"```text\n{matmul.rstrip()}\n```")
    return "\n\n".join(parts)


def probe_table(raw):
    rows = [(t["batch"], t["kernel"], f"{t['each']:.3f}") for t in raw["probe"]["tried"]]
    return table(("batch", "attention to the context", "seconds a generation"), rows)


def markdown(path):
    with open(path, encoding="utf-8") as file:
        raw = json.load(file)
    # JSON has no numbers for keys.
    for kind in ("study", "tuned", "tuned-many"):
        raw[kind] = [{int(cell): seconds for cell, seconds in times.items()} for times in raw[kind]]
    lengths = raw["prompt_tokens"][: raw["items"]]
    parts = [
        f"### {raw['model']}",
        f"{raw['cpu']}; torch {raw['torch']}, transformers {raw['transformers']}, {raw['threads']} threads; "
        f"{raw['items']} items of {min(lengths)} to {max(lengths)} tokens, {raw['new_tokens']} new tokens, rounds: "
        f"{raw['rounds']}; medians (and ranges). icl-mask is timed on the whole sweep, the loops on some cells, those "
        "between interpolated.",
        sweep_table(raw),
    ]
    if raw["study"] or raw["tuned"]:
        parts += ["The loops, seconds a generation, by cell:", cell_table(raw)]
    if "probe" in raw:
        context = f"{raw['context_tokens']} common tokens, computed once in {raw['context_seconds']:.2f} s"
        parts += [f"How the tuned loop's batch was chosen ({context}):", probe_table(raw)]
    parts += ["#### Outputs", output_table(raw), "#### Memory and rate", memory_table(raw)]
    if raw["llama"]["pass"]:
        parts += ["#### llama.cpp", llama_part(raw)]
    if raw["products"]:
        parts += ["#### Matrix products", product_part(raw)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(markdown(sys.argv[1]))
