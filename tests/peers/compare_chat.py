"""icl-mask's prompts in a chat template against transformers' `apply_chat_template`, on real models.

    pip install tokenizers transformers gguf
    cargo build --release
    python tests/peers/compare_chat.py target/release/icl-mask models/*.gguf

For each GGUF file transformers loads tokenizer and template from the file itself and renders the same text (our prompt
without what the template wrote) as one user message with the generation prompt. Compared: the text, and the ids, both
with transformers' tokenizer and with the one that tests/peers/compare_tokenizers.py makes from the file and what the
published tokenizer.json declares. And the segments `opening` and `closing` must be what the template writes around a
message that is only a mark. Exits with 1 if icl-mask differs anywhere.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers
from compare_tokenizers import reference

ITEMS = [
    ("The river froze early.", "La rivière a gelé tôt."),
    ("In 1987 it had 12345 inhabitants; 🙂👍", "En 1987, elle avait 12345 habitants ; 🙂👍"),
    ("e\u0301te\u0301 <|im_end|> and <|im_start|>user", "été"),
    ("  two  spaces, tab\t and trailing   ", "deux  espaces"),
    ("{{ 7 * 7 }} {% raw %} \\n 'quotes' \"double\"", "{# #}"),
    ("春天到了。", "Le printemps est là."),
]


def show(binary, path, folder, args):
    call = [binary, "show", "--model", path, "--direction", "en-fr", "--test", f"{folder}/test.jsonl", "--demonstrations",
            f"{folder}/demonstrations.jsonl", "--mask", "TTT", "--from-layer", "1", "--chat-template", "--json", *args]
    return json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def check(binary, path, folder):
    theirs = transformers.AutoTokenizer.from_pretrained(str(Path(path).parent), gguf_file=Path(path).name)
    published = reference(path)
    mark = "MARK"
    render = lambda text: theirs.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
    before, after = render(mark).split(mark)
    wrong = converted = count = 0
    for form in ["instr_machine_translation", "qa_lines", "instr_none_QA"]:
        for k in [0, 3]:
            for item in range(len(ITEMS)):
                ours = show(binary, path, folder, ["--format", form, "--nprompts", str(k), "--item", str(item)])
                text, ids, segments = ours["prompt"], ours["tokens"], ours["segments"]
                content = text.removeprefix(before).removesuffix(after)
                message = [{"role": "user", "content": content}]
                loaded = theirs.apply_chat_template(message, add_generation_prompt=True)["input_ids"]
                ranges = [segments.get(name, [0, 0]) for name in
                          ["bos", "opening", "instructions", "examples", "query", "closing"]]
                ranges = [r for r in ranges if r[0] < r[1]]
                covered = ranges[0][0] == 0 and ranges[-1][1] == len(ids) and all(
                    a[1] == b[0] for a, b in zip(ranges, ranges[1:]))
                piece = lambda name: published.decode(ids[slice(*segments[name])], skip_special_tokens=False)
                good = (text == before + content + after == render(content) and covered
                        and published.encode(text, add_special_tokens=False).ids == ids
                        and piece("opening") == before and piece("closing") == after)
                wrong += not good
                converted += loaded != ids
                count += 1
                if not good:
                    print(json.dumps(ours)[:600])
    print(f"{Path(path).name}: {count} prompts, wrong {wrong}; ids of transformers' own reading of the file differ in "
          f"{converted}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    print(f"transformers {transformers.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for file, items in [("test", ITEMS), ("demonstrations", ITEMS[:4])]:
            lines = [json.dumps({"id": str(i), "source": s, "target": t}) for i, (s, t) in enumerate(items)]
            Path(folder, f"{file}.jsonl").write_text("\n".join(lines) + "\n")
        sys.exit(1 if sum(check(args.binary, path, folder) for path in args.models) else 0)


if __name__ == "__main__":
    main()
