"""llama.cpp through llama-cpp-python's low-level functions, for bench.py, which runs this with the interpreter that
has tests/peers/requirements-bench.txt. Each verb prints one line of JSON.

    bench_llama.py convert IN.gguf OUT.gguf f32|f16
    bench_llama.py speed|plain-speed MODEL.gguf PROMPTS.json BATCHES      (plain: weights stay as they are in the file)
    bench_llama.py probe MODEL.gguf PROMPTS.json NEW_TOKENS BATCHES
    bench_llama.py pass MODEL.gguf PROMPTS.json NEW_TOKENS BATCH UNIFIED FLASH
"""

import ctypes
import json
import os
import statistics
import sys
import time

import llama_cpp as ll
import numpy as np

THREADS = os.cpu_count()
MOST_ROWS = 8192


@ll.llama_log_callback
def silent(_level, _text, _data):
    pass


class Machine:
    """A model and one context: `unified` keeps one buffer of keys and values for all sequences, else each has one."""

    def __init__(self, path, sequences, columns, unified, flash, plain=False):
        begun = time.perf_counter()
        params = ll.llama_model_default_params()
        params.n_gpu_layers, params.use_extra_bufts = 0, not plain
        self.model = ll.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model))
        self.load_seconds = time.perf_counter() - begun
        self.open(sequences, columns, unified, flash)

    def open(self, sequences, columns, unified, flash):
        """columns: of one sequence if not unified, of all together if it is"""
        params = ll.llama_context_default_params()
        params.n_ctx = columns if unified else columns * sequences
        params.n_seq_max, params.kv_unified = sequences, unified
        params.n_batch = MOST_ROWS
        params.n_threads = params.n_threads_batch = THREADS
        # f32 throughout, as on the other side.
        params.type_k = params.type_v = ll.GGML_TYPE_F32
        params.flash_attn_type = ll.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else ll.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = ll.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        self.memory = ll.llama_get_memory(self.context)
        self.batch = ll.llama_batch_init(MOST_ROWS, 0, 1)
        # The first call touches all weights.
        self.rows([(1, 0, 0, True)])
        self.clear()

    def close(self):
        ll.llama_batch_free(self.batch)
        ll.llama_free(self.context)

    def clear(self):
        ll.llama_memory_clear(self.memory, True)

    def rows(self, rows):
        """rows: (token, position, sequence, wants logits) -> the greatest logit's token of each that wants them"""
        batch, wanted = self.batch, 0
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = sequence, logits
            wanted += logits
        batch.n_tokens = len(rows)
        code = ll.llama_decode(self.context, batch)
        if code != 0:
            sys.exit(f"llama_decode: {code}")
        if not wanted:
            ll.llama_synchronize(self.context)
            return []
        logits = np.ctypeslib.as_array(ll.llama_get_logits(self.context), shape=(wanted, self.vocab))
        return logits.argmax(axis=1).tolist()


def convert(source, target, kind):
    params = ll.llama_model_quantize_default_params()
    params.nthread, params.allow_requantize = THREADS, True
    params.ftype = {"f32": ll.LLAMA_FTYPE_ALL_F32, "f16": ll.LLAMA_FTYPE_MOSTLY_F16}[kind]
    code = ll.llama_model_quantize(source.encode(), (target + ".part").encode(), params)
    if code != 0:
        sys.exit(f"llama_model_quantize: {code}")
    os.replace(target + ".part", target)
    return {"bytes": os.path.getsize(target)}


def speed(path, prompts, batches, plain):
    """Tokens a second of one prompt's prefill, and of decoding several sequences that have little behind them."""
    machine, tokens, steps = Machine(path, 1, 1024, True, False, plain), prompts[0]["tokens"], 12
    times = []
    for _ in range(3):
        machine.clear()
        begun = time.perf_counter()
        machine.rows([(token, i, 0, i == len(tokens) - 1) for i, token in enumerate(tokens)])
        times.append(time.perf_counter() - begun)
    prefill, decode = len(tokens) / statistics.median(times), {}
    machine.close()
    for batch in batches:
        machine.open(batch, 64, False, False)
        chosen = machine.rows([(tokens[s % len(tokens)], 0, s, True) for s in range(batch)])
        times = []
        for step in range(1, steps + 1):
            begun = time.perf_counter()
            chosen = machine.rows([(token, step, s, True) for s, token in enumerate(chosen)])
            times.append(time.perf_counter() - begun)
        decode[batch] = batch / statistics.median(times)
        machine.close()
    return {"prefill": prefill, "prompt_tokens": len(tokens), "decode": decode, "plain": plain}


def common_prefix(prompts):
    lists = [p["tokens"] for p in prompts]
    n = 0
    while n < min(map(len, lists)) - 1 and len({tokens[n] for tokens in lists}) == 1:
        n += 1
    return n


def columns_of(prompts, new_tokens, batch, unified):
    n, longest = common_prefix(prompts), max(len(p["tokens"]) for p in prompts)
    return n + batch * (longest - n + new_tokens) if unified else longest + new_tokens


def baseline_pass(machine, prompts, new_tokens, batch):
    """The prompts' common tokens once, then groups of sequences that begin with a copy of them.
    -> seconds, those of the common tokens, generated tokens"""
    n, holder = common_prefix(prompts), batch
    machine.clear()
    begun = time.perf_counter()
    machine.rows([(token, i, holder, False) for i, token in enumerate(prompts[0]["tokens"][:n])])
    context_seconds = time.perf_counter() - begun
    order, generated = sorted(range(len(prompts)), key=lambda i: len(prompts[i]["tokens"])), {}
    for first in range(0, len(order), batch):
        group = order[first : first + batch]
        rows = []
        for slot, item in enumerate(group):
            ll.llama_memory_seq_rm(machine.memory, slot, -1, -1)
            ll.llama_memory_seq_cp(machine.memory, holder, slot, -1, -1)
            tokens = prompts[item]["tokens"]
            rows += [(tokens[i], i, slot, i == len(tokens) - 1) for i in range(n, len(tokens))]
        chosen = machine.rows(rows)
        for item, token in zip(group, chosen):
            generated[item] = [token]
        for step in range(new_tokens - 1):
            lengths = [len(prompts[item]["tokens"]) + step for item in group]
            chosen = machine.rows([(t, p, slot, True) for slot, (t, p) in enumerate(zip(chosen, lengths))])
            for item, token in zip(group, chosen):
                generated[item].append(token)
        for slot in range(len(group)):
            ll.llama_memory_seq_rm(machine.memory, slot, -1, -1)
    return time.perf_counter() - begun, context_seconds, [generated[i] for i in range(len(prompts))]


def probe(path, prompts, new_tokens, batches):
    """Seconds a generation of one full batch without the common context: kinds of attention at a middle size, then
    the sizes."""
    results, machine = [], None

    def measure(batch, unified, flash):
        nonlocal machine
        some = prompts[:batch]
        shape = (batch + 1, columns_of(some, new_tokens, batch, unified), unified, flash)
        if machine is None:
            machine = Machine(path, *shape)
        else:
            machine.close()
            machine.open(*shape)
        seconds, context_seconds, _ = baseline_pass(machine, some, new_tokens, batch)
        each = (seconds - context_seconds) / len(some)
        results.append({"batch": batch, "unified": unified, "flash": flash, "each": each})

    middle = sorted(batches)[len(batches) // 2]
    for unified in (True, False):
        for flash in (False, True):
            measure(middle, unified, flash)
    kind = min(results, key=lambda r: r["each"])
    for batch in batches:
        if batch != middle:
            measure(batch, kind["unified"], kind["flash"])
    return {"tried": results, "best": min(results, key=lambda r: r["each"])}


def whole_pass(path, prompts, new_tokens, batch, unified, flash):
    machine = Machine(path, batch + 1, columns_of(prompts, new_tokens, batch, unified), unified, flash)
    seconds, _, tokens = baseline_pass(machine, prompts, new_tokens, batch)
    return {"seconds": seconds, "load_seconds": machine.load_seconds, "tokens": tokens}


def main():
    verb, path, *rest = sys.argv[1:]
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    if verb == "convert":
        answer = convert(path, *rest)
    else:
        prompts = json.load(open(rest[0], encoding="utf-8"))
        numbers = [[int(n) for n in word.split(",")] for word in rest[1:]]
        if verb in ("speed", "plain-speed"):
            answer = speed(path, prompts, numbers[0], plain=verb == "plain-speed")
        elif verb == "probe":
            answer = probe(path, prompts, numbers[0][0], numbers[1])
        else:
            (new_tokens,), (batch,), (unified,), (flash,) = numbers
            answer = whole_pass(path, prompts, new_tokens, batch, bool(unified), bool(flash))
        answer["system"] = ll.llama_print_system_info().decode()
    answer["version"] = ll.__version__
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
