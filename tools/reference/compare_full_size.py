#!/usr/bin/env python3
"""What diffusers computes with a model's transformer at full size, block by block, in f32 and in bf16.

Writes a case for `kleinscope validate` (the f32 run) and, as JSON, how far diffusers' own bf16 runs are from it and from each other,
per block and stream: the measure for ours. Needs PyTorch with a GPU, and a copy of diffusers' source.

  kleinscope synth --config klein-4b --component transformer --out MODEL
  tools/reference/compare_full_size.py --diffusers ../diffusers --model MODEL --out full.safetensors --json full.json
  kleinscope validate -m MODEL --case full.safetensors --backend cuda --precision bf16 --json > ours.json
  tools/reference/check_full_size ours.json full.json
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import peer_models as peers  # noqa: E402

KERNELS = {"cudnn": "_native_cudnn", "flash": "_native_flash", "math": "_native_math"}


def weight_files(folder):
    """The files of a transformer's folder, whole or in shards."""
    single = folder / "diffusion_pytorch_model.safetensors"
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    peers.stop(f"{folder} holds no {single.name}; give a model folder as diffusers or `kleinscope synth` writes it")


def load(torch, folder, dtype):
    """The transformer with its weights, on the GPU, in a type."""
    from safetensors.torch import load_file

    config = {"transformer": json.loads((folder / "config.json").read_text())}
    model = peers.transformer(torch, config, dtype)
    missing = set(model.state_dict())
    for file in weight_files(folder):
        tensors = load_file(str(file), device="cuda")
        missing -= set(tensors)
        unexpected = model.load_state_dict(tensors, strict=False).unexpected_keys
        if unexpected:
            peers.stop(f"{file}: diffusers knows no {', '.join(unexpected[:5])}")
    if missing:
        peers.stop(f"{folder}: without {', '.join(sorted(missing)[:5])}")
    return model, config


def run(torch, model, inputs, txt_tokens):
    """Outputs by the name of the stream, f32 on the GPU: transformer_blocks.N.txt, .img; single_transformer_blocks.N.txt, .img; sample."""
    outputs, handles = {}, []

    def keep(name, txt, img):
        outputs[f"{name}.txt"], outputs[f"{name}.img"] = txt.float().clone(), img.float().clone()

    for i, block in enumerate(model.transformer_blocks):
        handles.append(block.register_forward_hook(lambda m, a, out, i=i: keep(f"transformer_blocks.{i}", *out)))
    for i, block in enumerate(model.single_transformer_blocks):
        handles.append(block.register_forward_hook(
            lambda m, a, out, i=i: keep(f"single_transformer_blocks.{i}", out[:, :txt_tokens], out[:, txt_tokens:])))
    outputs["sample"] = model(**inputs)[0].float()
    for handle in handles:
        handle.remove()
    return outputs


def distances(found, expected):
    """Relative L2 distance of each output."""
    return {name: ((found[name].double() - value.double()).norm() / value.double().norm()).item() for name, value in expected.items()}


def write_case(torch, path, inputs, outputs, metadata):
    from safetensors.torch import save_file

    tensors = {f"in.{name}": inputs[name].float().cpu() for name in ("hidden_states", "encoder_hidden_states", "timestep")}
    if inputs["guidance"] is not None:
        tensors["in.guidance"] = inputs["guidance"].float().cpu()
    for name in ("img_ids", "txt_ids"):
        tensors[f"in.{name}"] = inputs[name].to(torch.int32).cpu()
    for name, value in outputs.items():
        if name == "sample":
            tensors["out.sample"] = value.cpu()
        elif not name.startswith("single_"):
            tensors[f"act.{name}"] = value.cpu()
        elif name.endswith(".txt"):
            block = name.removesuffix(".txt")
            tensors[f"act.{block}"] = torch.cat([value, outputs[f"{block}.img"]], dim=1).cpu()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(path), metadata=metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", required=True, metavar="PATH", help="a checkout of diffusers, or a folder that holds the package")
    parser.add_argument("--model", required=True, metavar="FOLDER", help="a model folder, or its transformer's folder")
    parser.add_argument("--out", required=True, metavar="CASE", help="the f32 run, for `kleinscope validate`")
    parser.add_argument("--out-bf16", metavar="CASE", help="also the bf16 run, for `kleinscope validate --compat diffusers`")
    parser.add_argument("--json", required=True, metavar="FILE", help="the peer's own distances")
    parser.add_argument("--size", default="256x256", help="picture size; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the random inputs; default: %(default)s")
    args = parser.parse_args()
    sizes = peers.parse_sizes(args.size)
    if len(sizes) != 1:
        peers.stop(f"--size {args.size}: expected one size")
    torch = peers.require_torch()
    diffusers = peers.require_diffusers(args.diffusers)
    folder = Path(args.model)
    folder = folder / "transformer" if (folder / "transformer").is_dir() else folder
    if not (folder / "config.json").is_file():
        peers.stop(f"{folder} holds no config.json; give a model folder as diffusers or `kleinscope synth` writes it")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False

    def outputs(dtype, kernels):
        model, config = load(torch, folder, dtype)
        inputs = peers.forward_inputs(torch, config, *sizes[0], dtype, args.seed)
        runs = {}
        for name, backend in kernels.items():
            model.set_attention_backend(backend)
            runs[name] = run(torch, model, inputs, peers.TEXT_TOKENS)
        return inputs, runs

    with torch.no_grad():
        inputs, exact = outputs(torch.float32, {"math": "_native_math"})
        exact = exact["math"]
        metadata = {"kind": "dit", "model": folder.name, "peer": f"diffusers {diffusers.__version__}, torch {torch.__version__}",
                    "precision": "f32", "seed": str(args.seed), "size": args.size}
        write_case(torch, args.out, inputs, exact, metadata)
        torch.cuda.empty_cache()
        _, runs = outputs(torch.bfloat16, {"native": "native", "again": "native", **KERNELS})
    again = runs.pop("again")
    if args.out_bf16:
        write_case(torch, args.out_bf16, inputs, runs["native"], dict(metadata, precision="bf16"))
    pairs = {f"{a}-{b}": distances(runs[a], runs[b]) for a, b in itertools.combinations(KERNELS, 2)}
    result = {
        "schema": "kleinscope.full-size/1",
        "device": torch.cuda.get_device_name(), "peer": metadata["peer"], "size": args.size, "text_tokens": peers.TEXT_TOKENS,
        "bf16_to_f32": {name: distances(found, exact) for name, found in runs.items()},
        "kernel_to_kernel": pairs,
        "spread": {name: max(pair[name] for pair in pairs.values()) for name in exact},
        "run_to_run": max(distances(again, runs["native"]).values()),
    }
    Path(args.json).write_text(json.dumps(result, indent=1) + "\n")
    for name in exact:
        own = " ".join(f"{kernel} {result['bf16_to_f32'][kernel][name]:.2e}" for kernel in runs)
        print(f"{name}: |x| {exact[name].norm().item():.3g}, bf16 to f32 {own}, between kernels {result['spread'][name]:.2e}")
    print(f"run to run {result['run_to_run']:.2e}")


if __name__ == "__main__":
    main()
