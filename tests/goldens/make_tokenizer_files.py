#!/usr/bin/env python3
"""Model folders whose tokenizer is told by more than tokenizer.json, and what transformers makes of them.

    pip install torch transformers tokenizers sentencepiece gguf jinja2
    python tests/goldens/make_tokenizer_files.py

Writes into tests/goldens/tokenizer_files/, for tests/tokenizer_files.rs:

    tokenizer.json         a small byte-level BPE, the one of all folders but Gemma's
    folders.json           for each case the files beside tokenizer.json (and changes of it), texts, and their ids by
                           AutoTokenizer
    gemma.gguf             a toy Gemma 3 with a SentencePiece vocabulary, written as llama.cpp's converter does
    gemma.json             texts and their ids by AutoTokenizer from that file, and what the model generates
    llama.safetensors, gemma3.safetensors
                           toy models whose embedding is smaller than the tokenizer
    models.json            their config.json, and what they generate after some texts
    generation.json        templates with `{% generation %}` and what apply_chat_template makes of them

Everything is drawn with a seed. Where transformers cannot do what a case asks, the script stops.
"""

import importlib.metadata
import io
import json
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, LlamaConfig

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import drawn  # noqa: E402
import write_gguf as writer_of  # noqa: E402

OUT = HERE / "tokenizer_files"
VERSIONS = {name: importlib.metadata.version(name)
            for name in ["torch", "transformers", "tokenizers", "sentencepiece", "gguf", "jinja2"]}  # fmt: skip

PROSE = [
    "The river below the old mill froze early that winter, and there was no one who could remember a colder one.",
    "Le boulanger de la place n'ouvre qu'à sept heures, et déjà l'odeur du pain chaud remplit la rue.",
    "Der Fährmann überquerte die Elbe trotz des Sturms, während die Großmutter am Ufer wartete.",
    "if value > best:\n    best = value\n        return 12 * 34",
    "春天到了，河边的柳树发芽了。",
]
END, PAD, SEP, IMAGE = "<|endoftext|>", "<pad>", "<sep>", "<image>"
TEXTS = [
    "the river <sep> and the mill<pad>",
    "old  <sep>  mill <image>x<|endoftext|> rue",
    "sept heures",
    "<sep><pad> 12<image>",
]


# --- Folders -------------------------------------------------------------------------------------------------


def byte_level():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=[END], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    tok.train_from_iterator(PROSE * 2, trainer)
    tok.save(str(OUT / "tokenizer.json"), pretty=False)
    return tok.get_vocab_size()


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
            "special": True} | flags  # fmt: skip


def folders(n):
    """Name, tokenizer_config.json, other files, changes of tokenizer.json, model_type."""
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}
    stripped = token(SEP, lstrip=True, rstrip=True, __type="AddedToken")
    digits = {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
    spaced = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    yield "plain", fast, {}, {}, "llama"
    yield "added_tokens_decoder", fast | {"added_tokens_decoder": {str(n): token(SEP)}}, {}, {}, "llama"
    yield "flags of added_tokens_decoder", fast | {
        "added_tokens_decoder": {str(n): token(SEP, lstrip=True), str(n + 1): token(PAD, rstrip=True),
                                 "0": token(END, lstrip=True)}}, {}, {}, "llama"  # fmt: skip
    yield "not special", fast | {"added_tokens_decoder": {
        str(n): token(SEP, special=False, normalized=True, single_word=True)}}, {}, {}, "llama"
    yield "pad_token alone", fast | {"pad_token": PAD}, {}, {}, "llama"
    yield "roles in order", fast | {"image_token": IMAGE, "pad_token": PAD, "sep_token": SEP}, {}, {}, "llama"
    yield "extra_special_tokens", fast | {"extra_special_tokens": [PAD, SEP]}, {}, {}, "llama"
    yield "extra_special_tokens by name", fast | {
        "extra_special_tokens": {"sound_token": SEP}, "image_token": IMAGE}, {}, {}, "llama"
    yield "additional_special_tokens", fast | {"additional_special_tokens": [stripped, IMAGE]}, {}, {}, "llama"
    yield "one token, two roles", fast | {"sep_token": SEP, "pad_token": PAD, "mask_token": stripped}, {}, {}, "llama"
    yield "by name, and a list in the map", fast | {"extra_special_tokens": {"sound_token": SEP}}, {
        "special_tokens_map.json": {"additional_special_tokens": [IMAGE, PAD]}}, {}, "llama"
    yield "special_tokens_map", fast, {"special_tokens_map.json": {
        "pad_token": token(PAD, rstrip=True), "additional_special_tokens": [SEP]}}, {}, "llama"
    yield "special_tokens_map that does not count", fast | {"added_tokens_decoder": {str(n): token(IMAGE)}}, {
        "special_tokens_map.json": {"pad_token": PAD}, "added_tokens.json": {SEP: n}}, {}, "llama"
    yield "added_tokens", fast, {"added_tokens.json": {SEP: n + 1, PAD: n}}, {}, "llama"
    yield "added_tokens, one special", fast | {"pad_token": PAD}, {"added_tokens.json": {SEP: n, PAD: n + 1}}, {}, "llama"
    yield "a word of the vocabulary", fast | {"pad_token": "er"}, {}, {}, "llama"
    yield "of tokenizer.json already", fast | {"added_tokens_decoder": {"0": token(END)}}, {}, {}, "llama"
    yield "prefix of GPT2Tokenizer", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, {}, {}, "llama"
    yield "prefix of GPT-2 itself", {"add_prefix_space": True}, {}, {}, "gpt2"
    yield "prefix of GPTNeoXTokenizerFast", {
        "tokenizer_class": "GPTNeoXTokenizerFast", "add_prefix_space": True, "pad_token": END}, {}, {}, "gpt_neox"
    yield "prefix and added tokens", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "sep_token": SEP,
                                      "pad_token": PAD}, {}, {}, "llama"  # fmt: skip
    yield "prefix not followed", fast | {"add_prefix_space": True}, {}, {}, "llama"
    yield "prefix of tokenizer.json", fast, {}, {"pre_tokenizer": spaced}, "llama"
    yield "prefix of tokenizer.json undone", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}, {}, {
        "pre_tokenizer": spaced}, "llama"
    yield "digits", fast, {}, {"pre_tokenizer": digits}, "llama"


def write(folder, files):
    for name, content in files.items():
        Path(folder, name).write_text(json.dumps(content))


def folder_cases(n):
    for name, config, files, changes, model_type in folders(n):
        with tempfile.TemporaryDirectory() as folder:
            whole = json.loads((OUT / "tokenizer.json").read_text()) | changes
            write(folder, {"tokenizer.json": whole, "tokenizer_config.json": config,
                           "config.json": {"model_type": model_type}} | files)  # fmt: skip
            tok = AutoTokenizer.from_pretrained(folder)
        yield {"name": name, "tokenizer_config": config, "files": files, "changes": changes, "model_type": model_type,
               "class": type(tok).__name__, "ids": [tok(text, add_special_tokens=False)["input_ids"] for text in TEXTS]}  # fmt: skip


# --- Models with fewer rows than their tokenizer has tokens ---------------------------------------------------


def greedy(model, ids, n):
    ids = list(ids)
    for _ in range(n):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[-n:]


def toy_models(n):
    sizes = dict(hidden_size=16, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=24,
                 num_hidden_layers=2, max_position_embeddings=256, vocab_size=n, tie_word_embeddings=True,
                 bos_token_id=None, eos_token_id=None, pad_token_id=None)  # fmt: skip
    yield "llama", LlamaConfig(**sizes)
    yield "gemma3", Gemma3TextConfig(**sizes | {"sliding_window": 16, "query_pre_attn_scalar": 8})


def model_cases(n):
    for name, config in toy_models(n):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
        norms = [["norm.weight", 1.0, 0.0 if name == "gemma3" else 1.0]]
        drawn.fill(model, 7, norms)
        weights = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
        save_file({key: value.contiguous() for key, value in weights.items()}, OUT / f"{name}.safetensors",
                  metadata={"format": "pt"})  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            model.config.save_pretrained(folder)
            config_json = json.loads(Path(folder, "config.json").read_text())
            write(folder, {"tokenizer.json": json.loads((OUT / "tokenizer.json").read_text()),
                           "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": PAD}})
            tok = AutoTokenizer.from_pretrained(folder)
        text = "the river and the mill"
        prompt = tok(text, add_special_tokens=False)["input_ids"]
        tokens = greedy(model, prompt, 12)
        yield {"name": name, "config": config_json, "text": text, "prompt": prompt, "tokens": tokens,
               "ends": list(ends(model, config_json, prompt, tokens))}  # fmt: skip


def ends(model, config, prompt, tokens):
    """Where `generate` ends, by what the files say of the end of text."""
    end = tokens[4]
    other = tokens[7] if tokens[7] not in tokens[:7] else tokens[8]
    for config_says, generation_config in [
        ({"eos_token_id": end}, None),
        ({"eos_token_id": [other, end]}, None),
        ({"eos_token_id": end}, {"eos_token_id": other}),
        ({"eos_token_id": end}, {"temperature": 0.5}),
    ]:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            Path(folder, "generation_config.json").unlink(missing_ok=True)
            write(folder, {"config.json": config | config_says})
            if generation_config is not None:
                write(folder, {"generation_config.json": generation_config})
            loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            out = loaded.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12, pad_token_id=0)
        yield {"config": config_says, "generation_config": generation_config, "tokens": out[0, len(prompt):].tolist()}


# --- Gemma's SentencePiece tokenizer in GGUF -------------------------------------------------------------------

CONTROL = ["<pad>", "<eos>", "<bos>"]
USER = ["<mask>", "<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\t", "<table>"]
RUNS = ["▁" * width for width in range(2, 9)]
GEMMA_TEXTS = [
    "the river below the old mill",
    "two  three   four    five     six         nine",
    "a line\n\n    indented by four\n        by eight\n\tby a tab",
    "l'odeur du pain chaud, déjà; 12345 — ŵ 🙂",
    "<start_of_turn>user\nhi there<end_of_turn>\n<table> <mask>",
    "literal ▁ and ▁▁ and <0x41> <unused5>",
    "春天到了，柳树",
    "x",
]


def gemma_vocabulary():
    model = io.BytesIO()
    lines = [line for text in PROSE for width in (0, 2, 3, 4, 8) for line in (" " * width + text).split("\n")]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_writer=model, model_type="bpe", vocab_size=480, byte_fallback=True,
        normalization_rule_name="identity", character_coverage=0.99, remove_extra_whitespaces=False, split_digits=True,
        minloglevel=2, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
        eos_piece="<eos>", bos_piece="<bos>", user_defined_symbols=USER + RUNS)  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def gemma_case():
    sp = gemma_vocabulary()
    size = sp.get_piece_size()
    config = Gemma3TextConfig(
        hidden_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=32,
        num_hidden_layers=2, max_position_embeddings=256, vocab_size=size, sliding_window=16, query_pre_attn_scalar=16,
        bos_token_id=2, eos_token_id=1, pad_token_id=0)  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    drawn.fill(model, 7, [["norm.weight", 1.0, 0.0]])
    writer = gguf.GGUFWriter(OUT / "gemma.gguf", "gemma3")
    writer.add_type(gguf.GGUFType.MODEL)
    writer_of.metadata(writer, model.config)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    kinds = [kind(sp, i) for i in range(size)]
    # The converter writes the spaces of a user's token as they stand in a text.
    writer.add_token_list([sp.id_to_piece(i).replace("▁", " ") if kinds[i] == 4 else sp.id_to_piece(i)
                           for i in range(size)])  # fmt: skip
    writer.add_token_scores([-1000.0 if kinds[i] == 4 else sp.get_score(i) for i in range(size)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    for name, weight in writer_of.tensors(model):
        writer_of.add(writer, names.get_name(name, try_suffixes=(".weight", ".bias")),
                      writer_of.laid_out(name, weight, model.config), "F32")  # fmt: skip
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tok = AutoTokenizer.from_pretrained(OUT, gguf_file="gemma.gguf")
    ids = [tok(text, add_special_tokens=False)["input_ids"] for text in GEMMA_TEXTS]
    for text, own in zip(GEMMA_TEXTS, ids):
        if sp.encode(text) != own:
            print("SentencePiece differs:", repr(text), sp.encode(text, out_type=str), tok.convert_ids_to_tokens(own))
    prompt = [2] + ids[0]
    return {"texts": GEMMA_TEXTS, "ids": ids, "decoded": [tok.decode(line) for line in ids], "bos": 2, "prompt": prompt,
            "sentencepiece": [sp.encode(text) for text in GEMMA_TEXTS], "tokens": greedy(model, prompt, 8)}  # fmt: skip


def kind(sp, i):
    piece = sp.id_to_piece(i)
    return 2 if sp.is_unknown(i) else 3 if sp.is_control(i) or piece.endswith("_of_turn>") else \
        6 if sp.is_byte(i) else 4 if piece in USER + RUNS else 1


# --- {% generation %} --------------------------------------------------------------------------------------------

TEMPLATES = [
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    "{% for m in messages %}\n    {% generation %}\n  [{{ m.content }}]\n    {% endgeneration %}\n{% endfor %}\nend",
    "a  {%- generation -%}  \n {{ messages[0].content }} \n {%- endgeneration -%}  b",
    "a  {%+ generation %}\n {{ messages[0].content }} {%+ endgeneration +%}\n  b",
    "{%generation%}{{ messages[0].content }}{%endgeneration%}!",
    "{% set x = 'out' %}{% generation %}{% set x = 'in' %}{{ x }}:{{ messages[0].content }}{% endgeneration %}:{{ x }}",
    "{% generation %}{% set y = 'in' %}{{ y }}{% endgeneration %}{{ messages[0].content }}[{{ y }}]",
    "{% for m in messages %}{% generation %}{{ loop.index }} {{ m.content }} {{ loop.last }}{% endgeneration %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% generation %}{% set ns.n = 5 %}{{ messages[0].content }}{% endgeneration %}{{ ns.n }}",
    "{{ '{% generation %}' }}{# {% generation %} #}{% raw %}{% endgeneration %}{% endraw %}{{ messages[0].content }}",
    "{% generation %}{% generation %}{{ messages[0].content }}{% endgeneration %}{% endgeneration %}.",
    "{% macro turn(m) %}{% generation %}({{ m.content }}){% endgeneration %}{% endmacro %}{{ turn(messages[0]) }}!",
    "x\n\n   {%- generation %}\n\n{{ messages[0].content }}\n\n   {% endgeneration -%}\n\n  y",
]
MESSAGE = "hi there\nyou"


def template_cases():
    tok = AutoTokenizer.from_pretrained(OUT)
    for template in TEMPLATES:
        text = tok.apply_chat_template([{"role": "user", "content": MESSAGE}], chat_template=template,
                                       add_generation_prompt=True, tokenize=False)  # fmt: skip
        yield {"template": template, "text": text}


def save(name, content):
    head = {"made_by": "tests/goldens/make_tokenizer_files.py", "versions": VERSIONS}
    (OUT / name).write_text(json.dumps(head | content, separators=(",", ":")) + "\n")


def main():
    OUT.mkdir(exist_ok=True)
    n = byte_level()
    save("folders.json", {"texts": TEXTS, "vocab_size": n, "cases": list(folder_cases(n))})
    save("models.json", {"cases": list(model_cases(n))})
    save("gemma.json", gemma_case())
    save("generation.json", {"message": MESSAGE, "cases": list(template_cases())})
    for path in sorted(OUT.iterdir()):
        print(f"{path.stat().st_size / 1024:6.1f} KiB {path.name}")


if __name__ == "__main__":
    main()
