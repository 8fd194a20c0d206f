"""A tiny Llama with random weights and a tiny corpus, written with the standard library alone: world.py FOLDER ITEMS"""

import array
import json
import random
import shutil
import struct
import sys
from pathlib import Path

TOKENIZER = Path(__file__).parent.parent / "goldens/tokenizers/smollm.tokenizer.json"
VOCAB = len(json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"])
LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE = 4, 192, 6, 2, 32, 512


def shapes():
    """All tensors of the model."""
    queries, keys = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    of_a_layer = {
        "input_layernorm": [HIDDEN],
        "post_attention_layernorm": [HIDDEN],
        "self_attn.q_proj": [queries, HIDDEN],
        "self_attn.k_proj": [keys, HIDDEN],
        "self_attn.v_proj": [keys, HIDDEN],
        "self_attn.o_proj": [HIDDEN, queries],
        "mlp.gate_proj": [INTERMEDIATE, HIDDEN],
        "mlp.up_proj": [INTERMEDIATE, HIDDEN],
        "mlp.down_proj": [HIDDEN, INTERMEDIATE],
    }
    all_layers = {f"model.layers.{n}.{part}.weight": shape for n in range(LAYERS) for part, shape in of_a_layer.items()}
    return {"model.embed_tokens.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN]} | all_layers


def write_weights(path):
    """safetensors: the length of the header, the header, the numbers."""
    numbers, header, data = random.Random(1), {}, bytearray()
    for name, shape in shapes().items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        middle, width = (1.0, 0.25) if "norm" in name else (0.0, 0.35)
        values = array.array("f", (middle + width * (2 * numbers.random() - 1) for _ in range(count)))
        if sys.byteorder == "big":
            values.byteswap()
        begin = len(data)
        data += values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_model(folder):
    folder.mkdir()
    shutil.copy(TOKENIZER, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    config = {
        "model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": HIDDEN, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "intermediate_size": INTERMEDIATE, "vocab_size": VOCAB,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "hidden_act": "silu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_weights(folder / "model.safetensors")


def write_pairs(path, first, count):
    words = ["the cat", "a small dog", "one river", "old trees", "the sun", "her book", "two birds"]
    rows = ["id\tsource\ttarget"]
    for i in range(first, first + count):
        source = f"{words[i % 7]} sees {words[(i * 3 + 1) % 7]}."
        target = f"{words[(i + 2) % 7]} voit {words[(i * 5 + 3) % 7]}."
        rows.append(f"{i}\t{source}\t{target}")
    path.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    world, items = Path(sys.argv[1]), int(sys.argv[2])
    world.mkdir()
    write_model(world / "tiny")
    write_pairs(world / "demonstrations.tsv", 1, 8)
    write_pairs(world / "test.tsv", 9, items)
    pairs = {"test": "test.tsv", "demonstrations": "demonstrations.tsv", "training": "demonstrations.tsv"}
    columns = {"id": "id", "source": "source", "target": "target"}
    # JSON is YAML.
    (world / "pairs.yaml").write_text(json.dumps({"kind": "table", "description": "tiny", "columns": columns} | pairs))
