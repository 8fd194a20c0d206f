#!/usr/bin/env python3
"""Writes chat.json: prompts as one user message of a chat template, for tests/chat_goldens.rs.

    pip install tokenizers transformers pyyaml jinja2
    python tests/goldens/make_chat.py

Texts and ids are those of transformers' own `apply_chat_template` on the tokenizers of the goldens. The segments are
derived here from the rendered text: where the prompt stands in it (as it is, or trimmed as that template does), and
which token holds which byte first. The templates are written for this purpose, with the constructs of the families they
are named after: the date with a default and `trim` (Llama 3.x), blocks on lines of their own and a system message
(ChatML: Qwen, SmolLM2), `raise_exception`, tests and conditional expressions (Gemma), namespaces, filters and methods
of Python's strings (Mistral), thoughts that can be turned off (`thinking`: Qwen3, `reasoning`: SmolLM3), and values printed as
Python prints them. A model that can think before it answers is asked not to: `enable_thinking` is false.
"""

import json
from pathlib import Path

import jinja2
import tokenizers
import transformers
import yaml
from make_segments import (DEMONSTRATIONS, MASKS, NAMES, QUERIES, STRADDLING, Vocabulary, as_ranges, complete, exact_texts,
                           published_formats)

HERE = Path(__file__).parent
DATE = "01 May 2020"

# Prompts with white space at their ends, which some templates trim.
LOOSE = {
    "loose query": {"question": "\n\u3000Q: ", "answer": "\nA: ", "separator": "\n\n"},
    "loose header": {"header": "\n ", "question": "Q:", "answer": "\nA:\t\n", "separator": "\n"},
    "control": {"question": "\u001fQ: ", "answer": " A:\u001c", "separator": "\n"},
}
FORMATS = STRADDLING | LOOSE

TEMPLATES = {
    "llama": """{{- bos_token }}
{#- The date is an argument, or today, or else a day long ago. #}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "01 May 2020" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set first = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set first = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Tools: " + (tools | join(", ")) + "\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" + first + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "chatml": """{% if messages[0].role != 'system' %}
<|im_start|>system
Answer as a caf\u00e9 waiter would.<|im_end|>
{% endif %}
{% for message in messages %}
    {% if loop.first or messages[loop.index0 - 1].role != message.role %}
{{ '<|im_start|>' ~ message.role }}
{{ message.content }}<|im_end|>
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
""",
    "gemma": """{{ bos_token }}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("user and assistant must take turns") }}
    {%- endif -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + ("" if loop.first else "\\n") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for part in message['content'] -%}{{ part['text'] | trim }}{%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
""",
    "mistral": """{%- set asked = messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0, system=none) %}
{{- bos_token }}
{%- for message in messages %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("roles must alternate") }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
    {%- if message["role"] == "user" %}
        {%- if message == asked[-1] and ns.system is not none %}
            {{- "[INST] " + ns.system + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message["content"].strip() + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    "thinking": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(looking=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.looking and message.role == "user" and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.looking = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if message.thoughts is defined and message.thoughts is not none %}
            {%- set content = message.thoughts.strip('\\n') + content.lstrip('\\n') %}
        {%- elif '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' + (content if loop.index0 > ns.last else '') + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "reasoning": """{# ---- what holds unless it is said ---- #}
{%- if enable_thinking is not defined -%}
    {%- set enable_thinking = true -%}
{%- endif -%}
{%- if enable_thinking -%}
    {%- set mode = "/think" -%}
{%- else -%}
    {%- set mode = "/no_think" -%}
{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if messages[0].role == "system" -%}
    {%- set own = messages[0].content -%}
    {%- if "/no_think" in own -%}
        {%- set mode = "/no_think" -%}
    {%- endif -%}
    {%- set own = own.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "Mode: " + mode + "\\n\\n" -}}
{%- if own -%}
    {{- own + "\\n\\n" -}}
{%- elif mode == "/think" -%}
    {{- "Say what you think of first.\\n\\n" -}}
{%- else -%}
    {{- "Answer at once.\\n\\n" -}}
{%- endif -%}
{{- "<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n" + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if mode == "/think" -%}
        {{ "<|im_start|>assistant\\n" }}
    {%- else -%}
        {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" }}
    {%- endif -%}
{%- endif -%}
""",
    "strip": """{% set role = 'User, the'.split(',')[0].lower() %}
{% macro turn(name, text) %}[{{ name }}] {{ text.rstrip() }}{% endmacro %}
{% for message in messages[::-1] %}{% if message.content.startswith('</never>') %}{% continue %}{% endif %}
{{ turn(role, message.content) }} [/{{ message['role'] | upper }}]{{ eos_token }}{% endfor %}""",
    "printed": """{{ add_generation_prompt }} {{ tools }}{{ nothing_of_the_kind }} {{ messages | length }} \\
{{ {"é": [1, 2, none, true], "a": {"b": "<'>"}} | tojson }}
{{ {"deep": [1]} | tojson(indent=2) }}
{% for key, value in messages[0].items() if key == 'content' -%}
    {{ value }}
{%- endfor %}
{# trailing #}
end
""",
}
# What a template does to the message; the others leave it as it is.
TRIMS = {"llama": str.strip, "gemma": str.strip, "strip": str.rstrip}
# name: tokenizer, template, texts of special tokens.
LLAMA3 = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
CHATML = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
SP = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
PAIRS = [
    ("llama-bpe", "llama", LLAMA3),
    ("smollm", "chatml", CHATML),
    ("qwen2", "chatml", CHATML),
    ("gemma", "gemma", {"bos_token": "<bos>", "eos_token": "<end_of_turn>"}),
    ("llama", "mistral", SP),
    ("metaspace", "mistral", SP),
    ("llama", "strip", SP),
    ("llama-bpe", "strip", LLAMA3),
    ("qwen2", "thinking", CHATML),
    ("smollm", "reasoning", CHATML),
    ("qwen2", "printed", CHATML),
]


class Chat(Vocabulary):
    """A tokenizer of the goldens, also as transformers has it."""

    def __init__(self, file, special):
        super().__init__(file, [])
        # Runs of `▁` that are added tokens may stand for spaces.
        self.added = {i: text for i, text in self.added.items() if "▁" not in text}
        self.bos = self.library.encode("").ids
        self.n_bos = 0  # The template writes it.
        self.theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=self.library, **special)

    def rendered(self, template, content):
        call = {"chat_template": template, "add_generation_prompt": True, "date_string": DATE, "enable_thinking": False}
        messages = [{"role": "user", "content": content}]
        text = self.theirs.apply_chat_template(messages, tokenize=False, **call)
        return text, self.theirs.apply_chat_template(messages, **call)["input_ids"]


def chat_case(vocabulary, template, trim, form, header, demonstrations, query):
    texts = exact_texts(form, header, demonstrations, query)
    parts = [vocabulary.normal(texts[name]) for name in NAMES]
    content = "".join(parts)
    text, ids = vocabulary.rendered(template, content)
    assert vocabulary.normal(text) == text
    kept = trim(content)
    assert text.count(kept) == 1
    start = len(text[: text.index(kept)].encode())
    trimmed = len(content[: content.index(kept)].encode())
    firsts = vocabulary.first_bytes(text, ids)
    n_bos = int(ids[:1] == vocabulary.bos)
    stop = start + len(kept.encode())
    ends, at = [start], start - trimmed
    for part in parts:
        at += len(part.encode())
        ends.append(min(max(at, start), stop))
    assert ends[-1] == stop
    segments, column = {"bos": [0, n_bos]}, n_bos
    for name, end in zip(["opening", *NAMES, "closing"], [*ends, len(text.encode())]):
        after = max(column, sum(first < end for first in firsts))
        segments[name], column = [column, after], after
    assert column == len(ids)
    hidden = {}
    for mask in MASKS:
        columns = [c for name, letter in zip(NAMES, mask) if letter == "T" for c in range(*segments[name])]
        hidden[mask] = as_ranges(columns)
    # An empty segment of the template is not printed.
    segments = {name: range_ for name, range_ in segments.items()
                if range_[0] < range_[1] or name not in ("opening", "closing")}
    return {"text": text, "tokens": ids, "segments": segments, "hidden": hidden}, kept != content


def cases():
    forms = {name: published_formats()[name] for name in ("instr_machine_translation", "instr_none_QA")}
    forms |= {name: complete(form) for name, form in FORMATS.items()}
    trimmed = {template: 0 for template in TEMPLATES}
    for tokenizer, template, special in PAIRS:
        vocabulary = Chat(tokenizer, special)
        for number, (form_name, form) in enumerate(forms.items()):
            header = form["header"].replace("{source}", "English").replace("{target}", "French")
            for k, item in [(0, number % 4), (0, (number + 2) % 4), (2, (number + 1) % 4)]:
                case, cut = chat_case(vocabulary, TEMPLATES[template], TRIMS.get(template, str), form, header,
                                      DEMONSTRATIONS[:k], QUERIES[item])
                trimmed[template] += cut
                yield {"tokenizer": tokenizer, "template": template, "format": form_name, "k": k, "query": item} | case
    print("prompts with ends trimmed:", trimmed)
    assert trimmed["llama"] and trimmed["gemma"] and trimmed["strip"] and not trimmed["chatml"] + trimmed["mistral"]


def main():
    all_cases = list(cases())
    head = {
        "made_by": "tests/goldens/make_chat.py",
        "versions": {m.__name__: m.__version__ for m in [tokenizers, transformers, jinja2, yaml]},
        "demonstrations": DEMONSTRATIONS,
        "queries": QUERIES,
        "formats": FORMATS,
        "templates": TEMPLATES,
        "special": {f"{tokenizer}, {template}": special for tokenizer, template, special in PAIRS},
    }
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in all_cases)
    text = json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n"
    (HERE / "chat.json").write_text(text)
    print(len(all_cases), "cases,", len(text) // 1024, "KiB")


if __name__ == "__main__":
    main()
