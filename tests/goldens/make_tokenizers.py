"""Small tokenizers with the real families' settings, and what Hugging Face makes of nasty texts with them.

    pip install tokenizers transformers gguf sentencepiece
    python tests/goldens/make_tokenizers.py

Writes into tests/goldens/tokenizers/: for each family `<name>.tokenizer.json` (trained here, so the vocabulary is small,
but with the normalizer, pre-tokenizer, post-processor, decoder and kinds of special tokens of the published
tokenizer.json) and `<name>.gguf` (the same vocabulary as llama.cpp's converter writes it, no tensors); and `ids.json`:
the texts, and for each tokenizer the ids without BOS, the text those ids decode to (null where it is the text itself),
and the text of ids in an order that cuts characters apart. `tests/tokenizer_goldens.rs` holds the Rust side to it.

Where each family's settings come from:
- qwen2: transformers, models/qwen2/tokenization_qwen2.py;
- llama-bpe: transformers, convert_slow_tokenizer.py, TikTokenConverter (pattern) and the published Llama 3 tokenizer.json
  (ignore_merges, BOS by TemplateProcessing);
- gpt-2: transformers, models/gpt2/tokenization_gpt2.py;
- smollm, starcoder: the published tokenizer.json (Digits, then ByteLevel with its own pattern);
- gpt-neox (Pythia): transformers, models/gpt_neox/tokenization_gpt_neox.py (NFC, ByteLevel); runs of spaces as added
  tokens that are matched in normalized text, as the published tokenizer.json has them. The GGUF file's name for it is
  `mpt`, the only GPT-NeoX tokenizer that llama.cpp has a name for;
- gemma (Gemma 2 and 3): transformers, models/gemma/tokenization_gemma.py (Replace, Split, byte fallback, no space before
  a text) and the published post-processor (BOS); trained by SentencePiece as llama is. Runs of line ends and of `▁`
  are added tokens too, the latter under ids that merging spaces also gives. No GGUF: icl-mask refuses Gemma's;
- bloom: the published tokenizer.json (its own pattern, with a class inside the class);
- llama: the published Llama 2 tokenizer.json (Prepend and Replace normalizers, byte fallback); trained by SentencePiece
  itself, whose own ids must agree with Hugging Face's, else this script stops. `metaspace` is the same vocabulary in
  the newer form (pre-tokenizer Metaspace, prepended to the first stretch only).

Each family is also loaded by transformers' AutoTokenizer from a folder as it is on the hub, with the class that the
model's tokenizer_config.json names: it must put the same BOS before a text (`check_policy`). Its ids must be the same
too, but for two classes that transformers 5 builds anew from vocabulary and merges and not from tokenizer.json:
GPT2Tokenizer (SmolLM2, StarCoder2: digits are no longer cut apart) and LlamaTokenizer (a space is put before the first
stretch only). icl-mask follows tokenizer.json there.
"""

import io
import json
import random
import shutil
import tempfile
from pathlib import Path

import gguf
import sentencepiece
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2
from transformers.tokenization_utils_base import generate_merges

HERE = Path(__file__).parent / "tokenizers"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

PROSE = [
    "The river below the old mill froze early that winter, and nobody could remember a colder December.",
    "She didn't say whether they'd come, but I'm sure we'll see them before the others've left.",
    "In 1987 the town had 12345 inhabitants; today it's closer to 9000, or so the newspaper says.",
    "Le boulanger de la place n'ouvre qu'à sept heures, et déjà l'odeur du pain chaud remplit la rue étroite.",
    "Où étaient-ils passés ? Personne ne l'a jamais su ; les élèves, eux, l'avaient deviné dès l'automne.",
    "Mañana por la mañana iremos al mercado a comprar piñas, jamón y un poco de queso añejo. ¿Vendrás?",
    "Der Fährmann überquerte die Elbe trotz des Sturms, während die Großmutter am Ufer auf die Kinder wartete.",
    "A avó não sabia que os irmãos já tinham saído; as maçãs ficaram em cima da mesa até à noite.",
    "春天到了，河边的柳树发芽了。孩子们在学校里唱歌。",
    "きのう、駅の前で古い友だちに会いました。とても嬉しかったです。",
    "كتب الولد رسالة طويلة إلى صديقه في المدينة البعيدة، ثم نام.",
    "बच्चे नदी के किनारे खेल रहे हैं। आज मौसम बहुत अच्छा है।",
    "เด็กๆ กำลังเล่นอยู่ริมแม่น้ำ วันนี้อากาศดีมาก",
    "Старый мост построили ещё до войны, и с тех пор его никто не чинил.",
    "def largest(values):\n    best = None\n    for value in values:\n        if best is None or value > best:\n"
    "            best = value\n    return best\n",
    "class Counter:\n\tdef __init__(self, start=0):\n\t\tself.count = start\n\n\tdef step(self):\n\t\tself.count += 1\n"
    "\t\treturn self.count\n",
    "English: The weather is fine today.\nFrench: Il fait beau aujourd'hui.\n\nEnglish: Where is the station?\nFrench:",
    "Translate the sentence from English to French. Q: What is the capital of Peru? A: Lima 🙂🙂 👍 ❤️ 🇫🇷",
]

TEXTS = PROSE + [
    "",
    " ",
    "a",
    "1234567890",
    "3.14159, 1,000,000 and 0x7fFF; 2²+½ ≠ Ⅷ ٣٤٥ १२३ ① ㉈ 𝟙𝟚",
    "I'LL don't YOU'RE we'Ve 'Sup 's't 'ſ l'été O'Neill ''' ’s",
    "👩‍👩‍👧‍👦 👨🏽‍🚀 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇧🇷🇫🇷 ☺️ ☺ 🫠",
    "non\u00a0breaking\u202fnarrow\u3000ideographic\u2028line\u2029paragraph\u0085next\u1680ogham\u2009thin",
    "two  three   four    five     end ",
    "trailing spaces   ",
    "   leading spaces",
    "\n\n\nthree newlines\n\n",
    "windows\r\nlines\r\n\r\n\ttab\t\ttabs \t \t mixed \n \n  \r",
    "   \n   \n",
    "\u200bzero\u200cwidth\u200djoin\u2060er\ufeff",
    "\u0000nul \u0001\u0002 \u001b[31mred\u001b[0m \u007f\u0080\u009f \u001c\u001d\u001e\u001f",
    "e\u0301te\u0301 A\u030angstro\u0308m n\u0303 \u1112\u1161\u11ab \u0915\u093c \u2126 \u212b \ufb01 \u0344",
    "été Ångström ñ 한 क़ Ω Å \ufb01",
    "q\u0323\u0307 q\u0307\u0323 \u0301 alone \u0338",
    "\U00020000\U0002a6d6 \U0001d54f \ue000 \uffff \U0010ffff \ufffd",
    "unbelievablyunreachablehyphenlesscompoundword" * 6,
    "a" * 300,
    " " * 120 + "x",
    "x" + "\n" * 60,
    "=" * 70 + "\n" + "-" * 70,
    "the end<|endoftext|>the beginning <|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "<s>one</s> two <unk><pad> <|begin_of_text|>three<|eot_id|>",
    "<|fim_prefix|>def f():<|fim_suffix|>return 1<|fim_middle|><tool_call>{}</tool_call><jupyter_code><file_sep>",
    "<|endoftext|><|endoftext|> <|endoftext|>",
    "<|endof text|> < s > <0x41> <0x0A> ▁under▁line Ġdot Ċ [PAD812] [UNK]",
    " unreachable unreachable",
    "日本語とEnglishと中文混在。全角！？（）「」，、…",
    "اَلْعَرَبِيَّةُ، نعم؟ ۔ हिन्दी। ภาษาไทย",
    "if x:\n        y = {'a': [1, 2], \"b\": None}  # comment\n\telse:\n        pass\n        ",
    "https://example.org/path?q=1&r=%20#frag user@example.org C:\\dir\\file.txt /usr/bin/env",
    "ﬀ ŉ ǰ ẞ ß İ ı K ſt ﬅ",
    "(parens) [brackets] {braces} |pipe| !bang! a|b (a|b)",
]


# Asked, but not trained on.
ASKED = TEXTS + ["▁▁two ▁▁▁▁ four   ▁ three\n\n\n\n<start_of_turn>user\n\n two<end_of_turn>\n"]


def byte_level(*, vocab=900, first=(), last=(), user=(), runs=(), normalizer=None, steps=(), own_pattern, post=None, words=(),
               ignore_merges=False):
    """Trains a byte-level BPE; `first` and `last` are special tokens before and after the vocabulary.

    It is trained on text that is not cut into words, so that its merges cross every border a pre-tokenizer could draw
    (a digit after a digit, a space after a comma): then another family's pre-tokenizer gives other ids, and the
    golden tells them apart. `check_telling_apart` holds it to that.
    """
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=list(first), show_progress=False, max_token_length=12,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tok.train_from_iterator(TEXTS * 2, trainer)
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own_pattern)])
    if words:
        # Tokens that no merge reaches, as Llama 3 has them: only `ignore_merges` finds them.
        parsed = json.loads(tok.to_str())
        for word in words:
            parsed["model"]["vocab"][word] = len(parsed["model"]["vocab"])
        tok = Tokenizer.from_str(json.dumps(parsed))
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in last])
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in user])
    tok.add_tokens([AddedToken(t, special=False, normalized=True) for t in runs])
    tok.post_processor = post(tok) if post else processors.ByteLevel(trim_offsets=False)
    return tok


def begins_with(token):
    def post(tok):
        template = processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, tok.token_to_id(token))])
        return processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return post


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


STAR = ["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<repo_name>", "<file_sep>", "<jupyter_code>"]
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def families():
    """Name, tokenizer, and the GGUF keys that differ: eos token, eot, bos, whether add_bos_token is written."""
    smol = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>"]
    yield "smollm", byte_level(first=smol, steps=[DIGITS], own_pattern=True), {
        "eos": "<|im_end|>", "bos": "<|im_start|>", "add_bos": False}
    yield "starcoder", byte_level(first=STAR, steps=[DIGITS], own_pattern=True), {
        "eos": "<|endoftext|>", "bos": "<|endoftext|>"}
    yield "gpt-2", byte_level(last=["<|endoftext|>"], own_pattern=True), {
        "eos": "<|endoftext|>", "bos": "<|endoftext|>"}
    yield "qwen2", byte_level(
        last=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC(),
        user=["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<tool_call>", "</tool_call>"],
        steps=[isolated(QWEN2)], own_pattern=False), {
        "eos": "<|im_end|>", "bos": "<|endoftext|>", "add_bos": False, "pad": 8}
    yield "llama-bpe", byte_level(
        last=["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], steps=[isolated(LLAMA3)],
        own_pattern=False, post=begins_with("<|begin_of_text|>"), ignore_merges=True,
        words=["Ġunreachable", "ĠFrench:", "123"]), {
        "eos": "<|end_of_text|>", "eot": "<|eot_id|>", "bos": "<|begin_of_text|>"}
    yield "gpt-neox", byte_level(
        first=["<|endoftext|>", "<|padding|>"], runs=[" " * n for n in range(24, 1, -1)], normalizer=normalizers.NFC(),
        own_pattern=True), {"eos": "<|endoftext|>", "bos": "<|endoftext|>", "add_bos": False, "pre": "mpt"}
    yield "bloom", byte_level(first=["<unk>", "<s>", "</s>", "<pad>"], steps=[isolated(BLOOM)],
                              own_pattern=False), {"eos": "</s>", "bos": "<s>"}


def write_gguf(name, tok, keys):
    added = tok.get_added_tokens_decoder()
    tokens = [tok.id_to_token(i) for i in range(tok.get_vocab_size())]
    types = [NORMAL if i not in added else CONTROL if added[i].special else USER_DEFINED for i in range(len(tokens))]
    for i in range(keys.get("pad", 0)):
        tokens.append(f"[PAD{len(tokens)}]")
        types.append(UNUSED)
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(keys.get("pre", name))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in json.loads(tok.to_str())["model"]["merges"]])
    finish(writer, tok, keys)


def finish(writer, tok, keys):
    writer.add_bos_token_id(tok.token_to_id(keys["bos"]))
    writer.add_eos_token_id(tok.token_to_id(keys["eos"]))
    if "eot" in keys:
        writer.add_eot_token_id(tok.token_to_id(keys["eot"]))
    if "add_bos" in keys:
        writer.add_add_bos_token(keys["add_bos"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def train_sentencepiece(more=(), **options):
    model = io.BytesIO()
    options = {"add_dummy_prefix": True} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in [*PROSE, *more] for line in text.split("\n") if line] * 3),
        model_writer=model, model_type="bpe", vocab_size=900, byte_fallback=True, normalization_rule_name="identity",
        character_coverage=0.98, remove_extra_whitespaces=False, split_digits=True, minloglevel=2,
        allow_whitespace_only_pieces=True, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentencepiece_pair(sp):
    """The two forms in which Hugging Face publishes such a vocabulary: `llama` (Llama 2) and `metaspace` (newer)."""
    size = sp.get_piece_size()
    vocab = {sp.id_to_piece(i): i for i in range(size)}
    plain = {sp.id_to_piece(i): sp.get_score(i) for i in range(size) if kind(sp, i) == NORMAL}
    merges = [(a, b) for a, b in generate_merges(vocab, plain) if a in plain and b in plain]
    for name in ["llama", "metaspace"]:
        tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
        if name == "llama":
            tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
        tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                         decoders.Strip(" ", 1, 0)])
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ["<unk>", "<s>", "</s>"]])
        tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocab["<s>"])])
        yield name, tok


GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
GEMMA_USER = ["\n", "\n\n", "\n\n\n", "\t", "<table>"]


def gemma():
    indented = [" " * n + line for line in PROSE for n in (2, 3, 4, 8)]
    sp = train_sentencepiece(indented, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
                             eos_piece="<eos>", bos_piece="<bos>", user_defined_symbols=GEMMA_SPECIAL[4:] + GEMMA_USER)
    size = sp.get_piece_size()
    vocab = {sp.id_to_piece(i): i for i in range(size)}
    # SentencePiece has one type for what a user defined; such a piece is no part of a merge.
    plain = {sp.id_to_piece(i): sp.get_score(i) for i in range(size)
             if kind(sp, i) == NORMAL and sp.id_to_piece(i) not in GEMMA_SPECIAL + GEMMA_USER}
    merges = [(a, b) for a, b in generate_merges(vocab, plain) if a in plain and b in plain]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    tok.normalizer = normalizers.Replace(" ", "▁")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous", invert=False)
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in GEMMA_SPECIAL])
    runs = ["▁" * n for n in range(2, 32) if "▁" * n in plain]
    assert runs[:3] == ["▁▁", "▁▁▁", "▁▁▁▁"], runs
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in GEMMA_USER + runs])
    assert tok.get_vocab_size() == size and tok.encode("a  b").ids[1] == vocab["▁▁"]
    tok.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", vocab["<bos>"])])
    return sp, tok


def kind(sp, i):
    return UNKNOWN if sp.is_unknown(i) else CONTROL if sp.is_control(i) else BYTE if sp.is_byte(i) else NORMAL


def write_sentencepiece_gguf(sp, tok):
    writer = gguf.GGUFWriter(HERE / "llama.gguf", "llama")
    size = sp.get_piece_size()
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([sp.id_to_piece(i) for i in range(size)])
    writer.add_token_scores([sp.get_score(i) for i in range(size)])
    writer.add_token_types([kind(sp, i) for i in range(size)])
    finish(writer, tok, {"bos": "<s>", "eos": "</s>"})


def unless(decoded, text):
    """Null for a text that comes back as it was: keeps the file small."""
    return None if decoded == text else decoded


def expected(tok, eos):
    """What the Rust side must reproduce. `cut` are ids in another order, so that characters fall apart."""
    ids = [tok.encode(text, add_special_tokens=False).ids for text in ASKED]
    bos = tok.encode("", add_special_tokens=True).ids
    cut = [random.Random(i).sample(line, len(line)) for i, line in enumerate(ids)]
    return {
        "bos": bos[0] if bos else None, "eos": eos, "vocab_size": tok.get_vocab_size(), "ids": ids,
        "text": [unless(tok.decode(line), text) for line, text in zip(ids, ASKED)],
        "text_with_special": [
            unless(tok.decode(line, skip_special_tokens=False), text) for line, text in zip(ids, ASKED)],
        "cut": [{"ids": line, "text": tok.decode(line)} for line in cut[::3]],
    }


def check_telling_apart(golden):
    """Every family's ids change on at least 4 of the texts with another family's way of cutting."""
    parts = {name: json.loads((HERE / f"{name}.tokenizer.json").read_text()) for name in golden["tokenizers"]
             if name not in {"llama", "metaspace", "gemma"}}
    for name, own in parts.items():
        for other, theirs in parts.items():
            if theirs["pre_tokenizer"] != own["pre_tokenizer"]:
                swapped = Tokenizer.from_str(json.dumps(own | {"pre_tokenizer": theirs["pre_tokenizer"]}))
                ids = [swapped.encode(text, add_special_tokens=False).ids for text in TEXTS]
                changed = sum(a != b for a, b in zip(ids, golden["tokenizers"][name]["ids"]))
                assert changed >= 4, f"{name} cut as {other} differs on {changed} texts only"


# name: model_type of config.json, tokenizer_class of tokenizer_config.json, bos_token and eos_token there, and whether
# transformers' ids are those of tokenizer.json.
END = "<|endoftext|>"
CLASSES = {
    "smollm": ("llama", "GPT2Tokenizer", END, END, False),
    "starcoder": ("starcoder2", "GPT2Tokenizer", END, END, False),
    "gpt-2": ("gpt_neo", "GPT2Tokenizer", END, END, True),
    "qwen2": ("qwen2", "Qwen2Tokenizer", None, END, True),
    "llama-bpe": ("llama", "PreTrainedTokenizerFast", "<|begin_of_text|>", "<|end_of_text|>", True),
    "gpt-neox": ("gpt_neox", "GPTNeoXTokenizer", END, END, True),
    "bloom": ("bloom", "BloomTokenizerFast", "<s>", "</s>", True),
    "llama": ("llama", "LlamaTokenizer", "<s>", "</s>", False),
    "metaspace": ("llama", "LlamaTokenizer", "<s>", "</s>", True),
    "gemma": ("gemma3_text", "GemmaTokenizer", "<bos>", "<eos>", True),
}


def check_policy(golden):
    """transformers puts before a text what tokenizer.json's post-processor says, whatever tokenizer_config.json says."""
    assert set(CLASSES) == set(golden["tokenizers"])
    for name, (model_type, class_name, bos, eos, same) in CLASSES.items():
        wanted = golden["tokenizers"][name]
        first = [] if wanted["bos"] is None else [wanted["bos"]]
        for add_bos in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(HERE / f"{name}.tokenizer.json", Path(folder, "tokenizer.json"))
                Path(folder, "config.json").write_text(json.dumps({
                    "model_type": model_type, "bos_token_id": None, "eos_token_id": None}))
                Path(folder, "tokenizer_config.json").write_text(json.dumps({
                    "tokenizer_class": class_name, "bos_token": bos, "eos_token": eos, "add_bos_token": add_bos}))
                loaded = transformers.AutoTokenizer.from_pretrained(folder)
            asked = [(loaded(text)["input_ids"], first + ids) for text, ids in zip(ASKED, wanted["ids"])]
            assert loaded("a")["input_ids"] == first + loaded("a", add_special_tokens=False)["input_ids"], name
            differ = sum(a != b for a, b in asked)
            assert (differ == 0) == same, (name, differ)
        print(f"{name}: {type(loaded).__name__} of transformers, BOS {wanted['bos']}, other ids for {differ} texts")


def main():
    HERE.mkdir(exist_ok=True)
    golden = {
        "made_by": "tests/goldens/make_tokenizers.py",
        "versions": {m.__name__: m.__version__ for m in [tokenizers, transformers, sentencepiece]},
        "texts": ASKED,
        "tokenizers": {},
    }
    for name, tok, keys in families():
        tok.save(str(HERE / f"{name}.tokenizer.json"), pretty=False)
        write_gguf(name, tok, keys)
        ends = {keys["eos"], keys.get("eot", keys["eos"]), "<|endoftext|>"}
        golden["tokenizers"][name] = expected(tok, sorted(i for i in map(tok.token_to_id, ends) if i is not None))
    sp = train_sentencepiece()
    for name, tok in sentencepiece_pair(sp):
        tok.save(str(HERE / f"{name}.tokenizer.json"), pretty=False)
        golden["tokenizers"][name] = expected(tok, [tok.token_to_id("</s>")])
        if name == "llama":
            write_sentencepiece_gguf(sp, tok)
            for text, ids in zip(TEXTS, golden["tokenizers"][name]["ids"]):
                if not any(special in text for special in ["<s>", "</s>", "<unk>"]) and sp.encode(text) != ids:
                    print("SentencePiece differs:", repr(text), sp.encode(text, out_type=str), ids)
    sp, tok = gemma()
    tok.save(str(HERE / "gemma.tokenizer.json"), pretty=False)
    golden["tokenizers"]["gemma"] = expected(tok, [tok.token_to_id("<eos>")])
    for text, ids in zip(ASKED, golden["tokenizers"]["gemma"]["ids"]):
        plain_text = not any(special in text for special in ["▁", *GEMMA_SPECIAL])
        if plain_text and sp.encode(text) != ids:
            print("SentencePiece differs:", repr(text), sp.encode(text, out_type=str), tok.encode(text).tokens)
    check_telling_apart(golden)
    check_policy(golden)
    (HERE / "ids.json").write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
    for path in sorted(HERE.iterdir()):
        print(f"{path.stat().st_size / 1024:6.1f} KiB {path.name}")


if __name__ == "__main__":
    main()
