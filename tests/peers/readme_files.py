"""What README.md's commands find: a tiny model, a hub on loopback that has it, and files of a reader's own."""

import array
import gzip
import hashlib
import http.server
import itertools
import json
import random
import shutil
import struct
import sys
import threading


def tiny_model(folder, tokenizer):
    """GPT-Neo with two layers and random weights."""
    vocab, hidden, layers = 1024, 32, 2
    config = {
        "model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"], "num_layers": layers, "hidden_size": hidden,
        "num_heads": 2, "vocab_size": vocab, "max_position_embeddings": 2048, "window_size": 256, "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new", "attention_types": [[["global", "local"], 1]],
    }  # fmt: skip
    shapes = {"wte.weight": (vocab, hidden), "wpe.weight": (2048, hidden), "ln_f.weight": (hidden,), "ln_f.bias": (hidden,)}
    for start in (f"h.{layer}" for layer in range(layers)):
        for norm in (f"{start}.ln_1", f"{start}.ln_2"):
            shapes |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
        attention = f"{start}.attn.attention"
        shapes |= {f"{attention}.{part}_proj.weight": (hidden, hidden) for part in ("q", "k", "v", "out")}
        shapes |= {f"{attention}.out_proj.bias": (hidden,)}
        shapes |= {f"{start}.mlp.c_fc.weight": (4 * hidden, hidden), f"{start}.mlp.c_fc.bias": (4 * hidden,)}
        shapes |= {f"{start}.mlp.c_proj.weight": (hidden, 4 * hidden), f"{start}.mlp.c_proj.bias": (hidden,)}
    draw, header, data = random.Random(0), {}, b""
    for name, shape in shapes.items():
        content = array.array("f", (draw.gauss(0, 0.3) for _ in range(shape[0] * (shape + (1,))[1])))
        if sys.byteorder == "big":
            content.byteswap()
        end = len(data) + len(content) * 4
        header[f"transformer.{name}"] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
        data += content.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(tokenizer, folder / "tokenizer.json")


def hub(folder):
    """A hub on loopback with one model, whatever its name; the server and its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            file = folder / path.rpartition("/")[2]
            if path.startswith("/api/models/"):
                names = [{"rfilename": f.name, "size": f.stat().st_size} for f in folder.iterdir()]
                status, etag, body = 200, "", json.dumps({"sha": "0" * 39 + "1", "siblings": names}).encode()
            elif "/resolve/" in path and file.is_file():
                body = file.read_bytes()
                status, etag = 200, hashlib.sha256(body).hexdigest()
            else:
                status, etag, body = 404, "", b"no"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if etag:
                self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def make_files(clone):
    """The files that README.md's commands name as a reader's own."""
    tiny_model(clone / "path/to/folder", clone / "tests/goldens/tokenizers/gpt-2.tokenizer.json")
    words = {"one": "uno", "two": "due", "three": "tre", "four": "quattro", "five": "cinque", "six": "sei"}
    pairs = [(f"I have {a} or {b} books.", f"Ho {words[a]} o {words[b]} libri.") for a, b in itertools.permutations(words, 2)]
    for name, some in {"test.tsv": pairs[:10], "dev.tsv": pairs[10:]}.items():
        (clone / name).write_text("en\tit\n" + "".join(f"{a}\t{b}\n" for a, b in some))
    (clone / "out.txt").write_text("The cat sat on a mat.\nIt rains.\n")
    (clone / "ref.txt").write_text("The cat sat on the mat.\nIt is raining.\n")
    (clone / "their-clone").mkdir(exist_ok=True)


def make_later_files(clone):
    """What can be made once models and problems are there."""
    model, problems = clone / "models/smollm2-135m.gguf", clone / "data/human-eval/HumanEval.jsonl.gz"
    if model.is_file() and not (clone / "model.gguf").exists():
        (clone / "model.gguf").symlink_to(model)
    if problems.is_file() and not (clone / "samples.jsonl").exists():
        with gzip.open(problems, "rt", encoding="utf-8") as lines, open(clone / "samples.jsonl", "w") as out:
            for problem in map(json.loads, lines):
                out.write(json.dumps({"task_id": problem["task_id"], "completion": problem["canonical_solution"]}) + "\n")
