#!/usr/bin/env python3
"""Does tests/goldens/write_gguf.py write what llama.cpp's converter writes?

    pip install torch transformers safetensors gguf
    compare_converter.py --llama-cpp FOLDER [FAMILY ...]

FOLDER is a copy of llama.cpp with `conversion/` and `gguf-py/` (the source archive of llama-cpp-python on PyPI has one).
For each model of tests/goldens/family_models.py that the converter takes, both write a GGUF file in f32 from the same
weights; every tensor must be the same bit for bit, and so must the metadata be but for what describes the file and the
tokenizer. The converter is told of no tokenizer. Exit code 0: all are alike; 1: else.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
# What our files have otherwise, and why.
KNOWN = {
    "olmoe": {"attention.layer_norm_rms_epsilon": "the converter writes 1e-5, whatever the model has"},
    "bloom": {"output.weight": "older converters write the embedding a second time"},
    "gemma3": {"rope.freq_base_swa": "older converters leave it out"},
    "gemma3-short": {"rope.freq_base_swa": "older converters leave it out"},
    "llama-3.1": {"rope_freqs.weight": "computed in float32 there, in float64 here"},
    "llama-3.2": {"rope_freqs.weight": "computed in float32 there, in float64 here"},
}


def write(names, folder):
    """Both files of each model: theirs are only prepared here."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "goldens")]
    import drawn
    import torch
    import transformers
    from family_models import models
    from write_gguf import has_gguf, write_gguf

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with torch.inference_mode():
        for name, (config, rules), *_ in models():
            if has_gguf(config) and (not names or name in names):
                model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
                drawn.fill(model, "converter", rules).save_pretrained(folder / name)
                # For Gemma 3, of whose embedding the converter keeps as many rows as there are tokens.
                vocab = {f"<{i}>": i for i in range(config.vocab_size)}
                (folder / name / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}, "added_tokens": []}))
                write_gguf(folder / f"{name}.ours.gguf", model, "F32")


def convert(root, folder):
    """Theirs: in a process of its own, as it brings its own gguf package."""
    sys.path[:0] = [str(root), str(root / "gguf-py")]
    import conversion
    import gguf
    import torch
    from conversion import base

    logging.disable(logging.CRITICAL)
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            hparams = base.ModelBase.load_hparams(path, False)
            kind = conversion.get_model_class(base.get_model_architecture(hparams, base.ModelType.TEXT))
            kind.set_vocab = lambda self: None
            out = folder / f"{path.name}.theirs.gguf"
            with torch.inference_mode():
                kind(path, gguf.LlamaFileType.ALL_F32, out, hparams=hparams, eager=True).write()
        except (KeyError, NotImplementedError, RuntimeError, ValueError) as error:
            (folder / f"{path.name}.refused").write_text(f"{type(error).__name__} {error}")


def described(path):
    import gguf

    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    metadata = {field.name.removeprefix(f"{architecture}."): field.contents() for field in reader.fields.values()
                if not field.name.startswith(("GGUF.", "general.", "tokenizer."))}  # fmt: skip
    return architecture, metadata, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def compare(name, folder):
    theirs = folder / f"{name}.theirs.gguf"
    if not theirs.exists():
        print(f"{name}: refused by the converter: {(folder / f'{name}.refused').read_text()[:100]}")
        return True
    (kind, ours, our_tensors), (their_kind, metadata, tensors) = described(folder / f"{name}.ours.gguf"), described(theirs)
    mistakes, known = {} if kind == their_kind else {"architecture": f"{kind}, not {their_kind}"}, KNOWN.get(name, {})
    for key in sorted(ours.keys() | metadata.keys()):
        if ours.get(key) != metadata.get(key):
            mistakes[key] = f"{ours.get(key)}, not {metadata.get(key)}"
    for key in sorted(our_tensors.keys() | tensors.keys()):
        if key not in our_tensors or key not in tensors or not np.array_equal(our_tensors[key], tensors[key]):
            mistakes[key] = "another tensor"
    told = [f"{key}: {known.get(key) or mistake}" for key, mistake in mistakes.items()]
    print(f"{name}: {len(tensors)} tensors, {'; '.join(told) or 'all alike'}")
    return mistakes.keys() <= known.keys()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--llama-cpp", type=Path, required=True)
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.convert:
        return convert(args.llama_cpp, args.convert)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(args.families, folder)
        again = [sys.executable, __file__, "--llama-cpp", args.llama_cpp, "--convert", folder]
        done = subprocess.run(again, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        names = sorted(path.name.removesuffix(".ours.gguf") for path in folder.glob("*.ours.gguf"))
        sys.exit(0 if all([compare(name, folder) for name in names]) else 1)


if __name__ == "__main__":
    main()
