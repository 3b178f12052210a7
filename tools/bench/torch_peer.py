#!/usr/bin/env python3
"""Times PyTorch, eager and compiled, on what `kleinscope bench` times: the same sizes, random bf16 weights made on the GPU.

Needs PyTorch with a GPU, transformers, and a copy of diffusers' source. Times are host wall clock from the call to the end of
torch.cuda.synchronize(), inputs on the GPU; attention alone is the mean of 20 queued calls.

  tools/bench/torch_peer.py --diffusers ../diffusers --size 256x256,512x512,1024x1024 --json peer.json
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import peer_models as peers

WHAT = ["attention", "encode", "decode", "forward", "norms", "capture", "compiled"]
MODES = ["default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune"]
ATTENTION_CALLS = 20


def measure(torch, run, warmup, repeat):
    """Seconds of each measured run."""
    for _ in range(warmup):
        run()
    torch.cuda.synchronize()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds


class Report:
    """Timings as they come, and the file they are kept in, so that a run that is cut short leaves what it had."""

    def __init__(self, head, path):
        self.result = dict(head, timings=[])
        self.path = path

    def add(self, what, seconds, size=None, **more):
        timing = {"what": what, "size": size, "runs": len(seconds), "median": statistics.median(seconds), "least": min(seconds),
                  "most": max(seconds), **more}
        self.result["timings"].append(timing)
        note = " ".join(str(value) for value in more.values())
        print(f"{what} {size or ''} {note}: {1e3 * timing['median']:.3f} ms ({1e3 * timing['least']:.3f} to "
              f"{1e3 * timing['most']:.3f}, {len(seconds)} runs)", flush=True)
        self.save()

    def fail(self, what, size, reason, **more):
        self.result.setdefault("failures", []).append({"what": what, "size": size, "reason": reason, **more})
        print(f"{what} {size or ''} {more}: failed: {reason}", file=sys.stderr, flush=True)
        self.save()

    def save(self):
        if self.path:
            Path(self.path).write_text(json.dumps(self.result, indent=1) + "\n")


def attention(torch, report, config, sizes, args):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    heads, dim = config["transformer"]["num_attention_heads"], config["transformer"]["attention_head_dim"]
    for width, height in sizes:
        tokens = peers.TEXT_TOKENS + width * height // 256
        q, k, v = (torch.randn(1, heads, tokens, dim, device="cuda", dtype=torch.bfloat16) for _ in range(3))
        for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
            def run():
                with sdpa_kernel(backend):
                    for _ in range(ATTENTION_CALLS):
                        torch.nn.functional.scaled_dot_product_attention(q, k, v)
            seconds = measure(torch, run, args.warmup, args.repeat)
            report.add("attention", [s / ATTENTION_CALLS for s in seconds], f"{width}x{height}", tokens=tokens, variant=name)


def encode(torch, report, config, args):
    ids = torch.arange(1, 1 + peers.TEXT_TOKENS, device="cuda")[None]
    for variant in ("sdpa", "eager"):
        model = peers.randomise(torch, peers.text_encoder(torch, config, torch.bfloat16, variant))
        mask = torch.ones_like(ids)

        def run():
            return model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        report.add("encode", measure(torch, run, args.warmup, args.repeat), tokens=peers.TEXT_TOKENS, variant=variant)
        del model
        free(torch)


def decode(torch, report, config, sizes, args):
    model = peers.randomise(torch, peers.autoencoder(torch, config, torch.bfloat16))
    for width, height in sizes:
        latents = torch.randn(1, config["vae"]["latent_channels"], height // 8, width // 8, device="cuda", dtype=torch.bfloat16)
        report.add("decode", measure(torch, lambda: model.decode(latents, return_dict=False), args.warmup, args.repeat),
                   f"{width}x{height}", variant="eager")
    del model
    free(torch)


def blocks(model):
    return list(model.transformer_blocks) + list(model.single_transformer_blocks)


def hooked(model, hook):
    return [block.register_forward_hook(hook) for block in blocks(model)]


def watched(torch, report, model, inputs, size, what, args):
    """The forward with a hook on every block: what the usual script does."""
    kept = []

    def norms(_module, _inputs, output):
        for stream in output if isinstance(output, tuple) else (output,):
            kept.append(stream.float().norm().item())

    def capture(_module, _inputs, output):
        for stream in output if isinstance(output, tuple) else (output,):
            kept.append(stream.cpu())

    handles = hooked(model, norms if what == "norms" else capture)

    def run():
        kept.clear()
        model(**inputs)
    seconds = measure(torch, run, min(args.warmup, 2), args.repeat if what == "norms" else max(3, args.repeat // 3))
    for handle in handles:
        handle.remove()
    report.add(what, seconds, size, variant="eager")


def forwards(torch, report, config, sizes, what, args):
    model = peers.randomise(torch, peers.transformer(torch, config, torch.bfloat16))
    inputs = {size: peers.forward_inputs(torch, config, *size, torch.bfloat16) for size in sizes}
    for width, height in sizes:
        size = f"{width}x{height}"
        if "forward" in what:
            report.add("forward", measure(torch, lambda: model(**inputs[width, height]), args.warmup, args.repeat), size, variant="eager")
        for watching in ("norms", "capture"):
            if watching in what:
                watched(torch, report, model, inputs[width, height], size, watching, args)
    if "compiled" in what:
        for mode in args.modes:
            compiled(torch, report, model, inputs, mode, args)


def compiled(torch, report, model, inputs, mode, args):
    for (width, height), kwargs in inputs.items():
        size = f"{width}x{height}"
        torch._dynamo.reset()
        free(torch)
        try:
            start = time.perf_counter()
            run = torch.compile(model, mode=None if mode == "default" else mode, dynamic=False, fullgraph=args.fullgraph)
            run(**kwargs)
            torch.cuda.synchronize()
            took = time.perf_counter() - start
            seconds = measure(torch, lambda: run(**kwargs), max(3, args.warmup), args.repeat)
            report.add("forward", seconds, size, variant="compiled", mode=mode, compile_seconds=round(took, 1))
        except Exception as e:  # a mode that does not work here is a finding, and the others go on
            report.fail("forward", size, f"{type(e).__name__}: {str(e)[:300]}", variant="compiled", mode=mode)


def free(torch):
    gc.collect()
    torch.cuda.empty_cache()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", required=True, metavar="PATH", help="a checkout of diffusers, or a folder that holds the package")
    parser.add_argument("--config", default="klein-4b", help="klein-4b, or a JSON file with transformer, text_encoder and vae")
    parser.add_argument("--size", default="256x256,512x512,1024x1024", help="picture sizes; default: %(default)s")
    parser.add_argument("--what", default=",".join(WHAT), help="default: all, %(default)s")
    parser.add_argument("--modes", default="default,reduce-overhead,max-autotune-no-cudagraphs",
                        help=f"of torch.compile, out of {', '.join(MODES)}; default: %(default)s")
    parser.add_argument("--fullgraph", action="store_true", help="fail where torch.compile would break the graph")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 runs after 2, no compilation: to see that it works")
    parser.add_argument("--json", metavar="FILE", help="keep the timings here")
    args = parser.parse_args()
    what = args.what.split(",")
    args.modes = args.modes.split(",")
    for given, known, option in ((what, WHAT, "--what"), (args.modes, MODES, "--modes")):
        for name in given:
            if name not in known:
                peers.stop(f"{option} {name}: expected some of {', '.join(known)}")
    if args.quick:
        args.warmup, args.repeat = 2, 3
        what = [name for name in what if name != "compiled"]
    sizes = peers.parse_sizes(args.size)
    config = peers.read_config(args.config)
    torch = peers.require_torch()
    diffusers = peers.require_diffusers(args.diffusers)
    import transformers

    report = Report({
        "schema": "kleinscope.torch-peer/1",
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": torch.cuda.get_device_name(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda,
                     "cudnn": torch.backends.cudnn.version(), "diffusers": diffusers.__version__,
                     "transformers": transformers.__version__},
        "config": args.config, "precision": "bf16", "text_tokens": peers.TEXT_TOKENS, "warmup": args.warmup, "repeat": args.repeat,
    }, args.json)
    print(json.dumps({k: v for k, v in report.result.items() if k != "timings"}), flush=True)
    with torch.no_grad():
        if "attention" in what:
            attention(torch, report, config, sizes, args)
        if "encode" in what:
            encode(torch, report, config, args)
        if "decode" in what:
            decode(torch, report, config, sizes, args)
        if {"forward", "norms", "capture", "compiled"} & set(what):
            forwards(torch, report, config, sizes, what, args)


if __name__ == "__main__":
    main()
