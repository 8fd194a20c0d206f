"""icl-mask's prompts in published chat templates against transformers' `apply_chat_template`.

    pip install tokenizers transformers torch
    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36   # and unpack it
    cargo build --release
    python tests/peers/published_templates.py target/release/icl-mask llama_cpp_python-0.3.36/vendor/llama.cpp/models/templates

The templates of the models are other people's, so they are not in this repository; the source archive of llama-cpp-python on
PyPI holds those below, which their sha256 tells. Each is rendered for one user message with the generation prompt, as
`--chat-template FILE` has it, over a tokenizer of the goldens and a model of a few numbers. A template that can think
before it answers is asked not to (`enable_thinking` false). Where a template writes today's date and has no other for a
program that knows none, icl-mask must refuse it, and a copy with a fixed date must be right. Compared: the text, the ids,
and that the segments cover them. Exits with 1 if icl-mask differs anywhere.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers
from compare_chat import ITEMS

TOKENIZERS = Path(__file__).parent.parent / "goldens" / "tokenizers"
CHATML = ("qwen2", {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"})
PLAIN = ("llama", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
# By template: the beginning of its sha256, and a tokenizer for it.
TEMPLATES = {
    "Qwen-Qwen3-0.6B": ("87a2728cb8dc9fe4", CHATML),
    "Qwen-Qwen2.5-7B-Instruct": ("cd8e9439f0570856", CHATML),
    "HuggingFaceTB-SmolLM3-3B": ("19eacf64569032f0", CHATML),
    "google-gemma-2-2b-it": ("ecd6ae513fe103f0", PLAIN),
    "microsoft-Phi-3.5-mini-instruct": ("78d976a442bcde2f", PLAIN),
    "mistralai-Mistral-Nemo-Instruct-2407": ("e4676cb56dffea77", PLAIN),
    "Mistral-Small-3.2-24B-Instruct-2506": ("5b8f31f111986965", PLAIN),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("39f03c383413f531", PLAIN),
    "meta-llama-Llama-3.2-3B-Instruct": ("5816fce10444e03c", PLAIN),
    "ibm-granite-granite-3.3-2B-Instruct": ("3c71df5f65998746", CHATML),
    "ibm-granite-granite-4.0": ("9524df67b77a7b25", CHATML),
    "openai-gpt-oss-120b": ("a4c9919cbbd4acdd", CHATML),
}
DATE = re.compile(r"strftime_now\([^)]*\)")


def small_model(tokenizer, special, path):
    """A folder with a model of a few numbers, whose tokenizer this is."""
    path.mkdir()
    text = (TOKENIZERS / f"{tokenizer}.tokenizer.json").read_text()
    (path / "tokenizer.json").write_text(text)
    (path / "tokenizer_config.json").write_text(json.dumps(special))
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path / "tokenizer.json"), **special)
    config = transformers.Qwen2Config(vocab_size=len(theirs), hidden_size=4, intermediate_size=4, num_hidden_layers=1,
                                      num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=8192)  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(path)
    return theirs


def show(binary, model, template, folder, args):
    call = [binary, "show", "--model", str(model), "--direction", "en-fr", "--test", f"{folder}/test.jsonl", "--demonstrations",
            f"{folder}/demonstrations.jsonl", "--mask", "TTT", "--from-layer", "0", "--chat-template", str(template), "--json"]
    return subprocess.run([*call, *args], capture_output=True, text=True)


def covers(shown):
    ranges = [shown["segments"].get(name, [0, 0])
              for name in ["bos", "opening", "instructions", "examples", "query", "closing"]]
    edges = [0] + [end for start, end in ranges if start < end]
    return edges[-1] == len(shown["tokens"]) and edges[:-1] == [start for start, end in ranges if start < end]


def check(binary, template, theirs, model, folder):
    """How many prompts there are, and how many are wrong."""
    render = lambda text, **more: theirs.apply_chat_template(
        [{"role": "user", "content": text}], chat_template=template.read_text(), add_generation_prompt=True,
        enable_thinking=False, date_string="26 Jul 2024", **more)
    before, after = render("MARK", tokenize=False).split("MARK")
    count = wrong = 0
    for form in ["instr_machine_translation", "qa_lines", "instr_none_QA"]:
        for k in [0, 3]:
            for item in range(len(ITEMS)):
                ran = show(binary, model, template, folder, ["--format", form, "--nprompts", str(k), "--item", str(item)])
                count += 1
                if ran.returncode == 0:
                    ours = json.loads(ran.stdout)
                    content = ours["prompt"].removeprefix(before).removesuffix(after)
                    good = (ours["prompt"] == before + content + after == render(content, tokenize=False)
                            and ours["tokens"] == render(content)["input_ids"] and covers(ours))
                    if good:
                        continue
                if not wrong:
                    print((ran.stderr or ran.stdout)[:300])
                wrong += 1
    return count, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("templates", type=Path)
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(f"transformers {transformers.__version__}")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for file, items in [("test", ITEMS), ("demonstrations", ITEMS[:4])]:
            lines = [json.dumps({"id": str(i), "source": s, "target": t}) for i, (s, t) in enumerate(items)]
            Path(folder, f"{file}.jsonl").write_text("\n".join(lines) + "\n")
        models = {}
        for name, (sum_, (tokenizer, special)) in TEMPLATES.items():
            template = args.templates / f"{name}.jinja"
            assert hashlib.sha256(template.read_bytes()).hexdigest().startswith(sum_), name
            model = Path(folder, tokenizer)
            if tokenizer not in models:
                models[tokenizer] = small_model(tokenizer, special, model)
            text = template.read_text()
            if DATE.search(text) and "strftime_now is defined" not in text:
                ran = show(args.binary, model, template, folder, ["--format", "qa_lines", "--nprompts", "0"])
                refused = ran.returncode != 0 and "date" in ran.stderr
                wrong += not refused
                template = Path(folder, template.name)
                template.write_text(DATE.sub("'1 May 2020'", text))
                print(f"{name}: with today's date {'refused' if refused else 'not refused as such: ' + ran.stderr.strip()}")
            count, of_these = check(args.binary, template, models[tokenizer], model, folder)
            wrong += of_these
            print(f"{name}: {count} prompts, wrong {of_these}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
