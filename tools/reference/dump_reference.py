#!/usr/bin/env python3
"""What diffusers' Flux2KleinPipeline computes for a prompt: reference cases for `kleinscope validate` and `kleinscope diff`.

Needs PyTorch, transformers, safetensors and diffusers with Flux2KleinPipeline (or a copy of its source: --diffusers). Writes to the
folder --out, tensors as float32 whatever they were computed in:

  text-encoder.safetensors            ids, masks and hidden states 0, 9, 18, 27 of the prompt (and of the empty one, with guidance)
  dit-step-N.safetensors              inputs, chosen activations and output of the transformer at each step of --at-steps
  dit-step-N-uncond.safetensors       the same without the prompt, with guidance
  pipeline.safetensors                noise, latents after each step, picture

  tools/reference/dump_reference.py --model black-forest-labs/FLUX.2-klein-4B --prompt "a red cube" --size 256x256 --out reference
  kleinscope validate -m black-forest-labs/FLUX.2-klein-4B --case reference/*.safetensors

The noise is that of `kleinscope dump --seed`, so that its file can be compared with a case of the same prompt by `kleinscope diff`.
In float32 a 4B model takes about 33 GB; --dtype bfloat16 takes half and rounds as diffusers does (`--compat diffusers`).
"""

import argparse
import importlib
import os
import re
import sys
import types
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import peer_models as peers  # noqa: E402

STATES = (0, 9, 18, 27)
ALONE = ["time_guidance_embed", "double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation", "x_embedder",
         "context_embedder", "norm_out", "proj_out"]
IN_DOUBLE = ["norm1", "norm1_context", "attn.to_q", "attn.to_k", "attn.to_v", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
             "attn.norm_q", "attn.norm_k", "attn.norm_added_q", "attn.norm_added_k", "norm2", "norm2_context", "ff.linear_in", "ff",
             "ff_context.linear_in", "ff_context"]
IN_SINGLE = ["norm", "attn.to_qkv_mlp_proj", "attn.norm_q", "attn.norm_k", "attn"]
DEFAULT_POINTS = ("time_guidance_embed,x_embedder,context_embedder,transformer_blocks.*.img,transformer_blocks.*.txt,"
                  "single_transformer_blocks.*,norm_out,proj_out")


def chooser(globs):
    """Whether a point is chosen: * stays within a dot-separated part, ** crosses them."""
    patterns = []
    for glob in globs.split(","):
        parts = re.split(r"(\*\*|\*|\?)", glob.strip())
        patterns.append("".join({"**": ".*", "*": "[^.]*", "?": "[^.]"}.get(part, re.escape(part)) for part in parts))
    whole = re.compile("|".join(patterns))
    return lambda point: whole.fullmatch(point) is not None


def outputs_of(transformer):
    """(module, the points that its output holds, in order) for everything that Kleinscope knows by name."""
    modules = dict(transformer.named_modules())
    for name in ALONE:
        yield modules[name], [name]
    for i in range(len(transformer.transformer_blocks)):
        block = f"transformer_blocks.{i}"
        for name in IN_DOUBLE:
            yield modules[f"{block}.{name}"], [f"{block}.{name}"]
        yield modules[f"{block}.attn"], [f"{block}.attn.img", f"{block}.attn.txt"]
        yield modules[block], [f"{block}.txt", f"{block}.img"]
    for i in range(len(transformer.single_transformer_blocks)):
        block = f"single_transformer_blocks.{i}"
        for name in IN_SINGLE:
            yield modules[f"{block}.{name}"], [f"{block}.{name}"]
        yield modules[block], [block]


class Watch:
    """Writes a case for each forward of the transformer that is asked for."""

    def __init__(self, torch, transformer, chosen, steps, guided, folder, metadata):
        self.torch, self.steps, self.guided, self.folder, self.metadata = torch, steps, guided, folder, metadata
        self.forwards, self.tensors, self.rotary = 0, None, []
        self.embeds = {}
        self.written = []
        found = [point for _, points in outputs_of(transformer) for point in points] + ["pos_embed.cos", "pos_embed.sin"]
        if not any(chosen(point) for point in found):
            peers.stop("--points: no point is called that; `kleinscope inspect --points` lists them")
        transformer.register_forward_pre_hook(self.begin, with_kwargs=True)
        for module, points in outputs_of(transformer):
            if any(chosen(point) for point in points):
                module.register_forward_hook(self.keeper([point if chosen(point) else None for point in points]))
        if chosen("pos_embed.cos") or chosen("pos_embed.sin"):
            transformer.pos_embed.register_forward_hook(lambda module, args, output: self.rotary.append(output))
        self.rotary_chosen = [chosen("pos_embed.cos"), chosen("pos_embed.sin")]
        transformer.register_forward_hook(self.end)

    def begin(self, module, args, kwargs):
        step, uncond = divmod(self.forwards, 2) if self.guided else (self.forwards, 0)
        self.embeds.setdefault("negative_prompt_embeds" if uncond else "prompt_embeds", stored(kwargs["encoder_hidden_states"]))
        self.tensors = None
        self.rotary.clear()
        if step in self.steps:
            self.name, self.step, self.uncond = f"dit-step-{step}" + ("-uncond" if uncond else ""), step, uncond
            self.tensors = {f"in.{name}": stored(kwargs[name]) for name in ("hidden_states", "encoder_hidden_states", "timestep")}
            if kwargs.get("guidance") is not None:
                self.tensors["in.guidance"] = stored(kwargs["guidance"])
            for name in ("img_ids", "txt_ids"):
                self.tensors[f"in.{name}"] = kwargs[name].to(self.torch.int32).cpu()

    def keeper(self, points):
        def keep(module, args, output):
            if self.tensors is not None:
                for point, value in zip(points, output if isinstance(output, tuple) else (output,)):
                    if point:
                        self.tensors[f"act.{point}"] = stored(value)
        return keep

    def end(self, module, args, output):
        if self.tensors is not None:
            for k, name in enumerate(("cos", "sin")):
                if self.rotary_chosen[k]:
                    # called for the image first; tokens stand with the text first
                    self.tensors[f"act.pos_embed.{name}"] = stored(self.torch.cat([self.rotary[1][k], self.rotary[0][k]]))
            self.tensors["out.sample"] = stored(output[0])
            save(self.folder / f"{self.name}.safetensors", self.tensors, dict(
                self.metadata, kind="dit", step=str(self.step), **{"pass": "uncond" if self.uncond else "cond"}))
            self.written.append(self.name)
        self.tensors = None
        self.forwards += 1


def stored(tensor):
    return tensor.detach().float().cpu()


def save(path, tensors, metadata):
    """Whole or not at all."""
    from safetensors.torch import save_file

    temporary = path.with_name(f".{path.name}.tmp")
    try:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, str(temporary), metadata=metadata)
        umask = os.umask(0)
        os.umask(umask)
        # some versions of safetensors keep the file from everybody else
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def in_own_precision(torch, text_encoder):
    """transformers' RMSNorm rounds to float32 on the way, whatever the model's type; in float64 it need not."""
    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))
    for module in text_encoder.modules():
        if type(module).__name__ == "Qwen3RMSNorm":
            module.forward = types.MethodType(forward, module)


def watch_text(torch, text_encoder, tensors):
    """Collects what the text encoder computes for each prompt."""
    prompts = []

    def keep(module, args, kwargs, output):
        prefix = f"{len(prompts)}."
        for name in ("input_ids", "attention_mask"):
            tensors[prefix + name] = kwargs[name].to(torch.int32).cpu()
        for k in STATES:
            tensors[f"{prefix}hidden_states.{k}"] = stored(output.hidden_states[k])
        tensors[prefix + "prompt_embeds"] = torch.cat([stored(output.hidden_states[k]) for k in STATES[1:]], dim=-1)
        prompts.append(prefix)
    text_encoder.register_forward_hook(keep, with_kwargs=True)


def parse_steps(text, steps):
    """{0, 2, 3} of 0,2-3."""
    chosen = set()
    for part in text.split(","):
        if not re.fullmatch(r"\s*\d+(-\d+)?\s*", part):
            peers.stop(f"--at-steps {text}: expected numbers and ranges from 0, as in 0,2-3")
        first, _, last = part.partition("-")
        chosen.update(range(int(first), int(last or first) + 1))
    if not chosen or max(chosen) >= steps:
        peers.stop(f"--at-steps {text}: the run has the steps 0 to {steps - 1}")
    return chosen


def load(args, torch):
    """The pipeline in its type, on its device, and diffusers' version."""
    # later versions call it dtype, earlier ones know only torch_dtype
    warnings.filterwarnings("ignore", message=".*torch_dtype.*")
    if args.diffusers:
        diffusers = peers.require_diffusers(args.diffusers)
    else:
        try:
            diffusers = importlib.import_module("diffusers")
        except ImportError as e:
            peers.stop(f"diffusers is missing ({e}); install it, or name a checkout with --diffusers")
    try:
        from diffusers import Flux2KleinPipeline
    except (ImportError, RuntimeError) as e:
        peers.stop(f"diffusers {diffusers.__version__} has no Flux2KleinPipeline ({e}); a later one has")
    try:
        pipeline = Flux2KleinPipeline.from_pretrained(args.model, torch_dtype=getattr(torch, args.dtype))
    except (OSError, ValueError) as e:
        peers.stop(f"--model {args.model}: {e}")
    return pipeline.to(args.device), diffusers.__version__


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="MODEL", help="a klein model folder as diffusers writes it, or its name on the hub")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the cases go")
    parser.add_argument("--seed", type=int, default=1, help="of the noise, drawn in float32 on the CPU; default: %(default)s")
    parser.add_argument("--size", default="256x256", help="picture size; default: %(default)s")
    parser.add_argument("--steps", type=int, help="default: 4, or 50 for a model that is not distilled")
    parser.add_argument("--guidance", type=float, default=4.0, help="a distilled model ignores it; default: %(default)s")
    parser.add_argument("--distilled", choices=["true", "false"], help="whatever the model's folder says")
    parser.add_argument("--max-tokens", type=int, default=512, help="padded length of the prompt; default: %(default)s")
    parser.add_argument("--dtype", choices=["float32", "float64", "bfloat16"], default="float32", help="default: %(default)s")
    parser.add_argument("--points", default=DEFAULT_POINTS, metavar="GLOBS", help="activations, by name or glob, ** for all; default: "
                        "each block's output, and what stands before and after the blocks")
    parser.add_argument("--at-steps", default="0", metavar="LIST", help="steps, from 0, whose activations are kept; default: %(default)s")
    parser.add_argument("--device", help="cuda or cpu; default: cuda where there is a GPU")
    parser.add_argument("--diffusers", metavar="PATH", help="a checkout of diffusers, instead of the one installed")
    args = parser.parse_args()
    sizes = peers.parse_sizes(args.size)
    if len(sizes) != 1:
        peers.stop(f"--size {args.size}: expected one size")
    width, height = sizes[0]
    try:
        torch = importlib.import_module("torch")
    except ImportError as e:
        peers.stop(f"PyTorch is missing ({e}); install it")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)

    pipeline, version = load(args, torch)
    if args.distilled:
        pipeline.register_to_config(is_distilled=args.distilled == "true")
    distilled = bool(pipeline.config.is_distilled)
    guided = not distilled and args.guidance > 1
    steps = args.steps or (4 if distilled else 50)
    at_steps = parse_steps(args.at_steps, steps)
    if args.dtype == "float64":
        in_own_precision(torch, pipeline.text_encoder)
    metadata = {
        "reference": f"diffusers {version}, transformers {importlib.import_module('transformers').__version__}, torch {torch.__version__}, "
                     f"computed in {args.dtype}, stored as float32",
        "model": Path(args.model).name, "prompt": args.prompt, "seed": str(args.seed), "size": args.size, "height": str(height),
        "width": str(width), "steps": str(steps), "guidance": str(args.guidance), "distilled": str(distilled).lower(),
        "max_sequence_length": str(args.max_tokens), "dtype": args.dtype,
    }
    watch = Watch(torch, pipeline.transformer, chooser(args.points), at_steps, guided, folder, metadata)
    text = {}
    watch_text(torch, pipeline.text_encoder, text)
    noise = torch.randn((1, pipeline.transformer.config.in_channels, height // 16, width // 16),
                        generator=torch.Generator("cpu").manual_seed(args.seed), dtype=torch.float32)
    run = {"in.latents": stored(noise.to(getattr(torch, args.dtype)))}

    def after(_pipeline, step, _timestep, kwargs):
        run[f"step.{step}.latents"] = stored(kwargs["latents"])
        return kwargs

    with torch.no_grad():
        image = pipeline(prompt=args.prompt, latents=noise, num_inference_steps=steps, guidance_scale=args.guidance, height=height,
                         width=width, max_sequence_length=args.max_tokens, output_type="np", callback_on_step_end=after,
                         callback_on_step_end_tensor_inputs=["latents"]).images[0]
    run["out.image"] = torch.from_numpy(image).float()
    run.update({f"in.{name}": embeds for name, embeds in watch.embeds.items()})
    save(folder / "pipeline.safetensors", run, dict(metadata, kind="pipeline"))
    save(folder / "text-encoder.safetensors", text, dict(
        metadata, kind="text-encoder", **{f"prompt.{i}": prompt for i, prompt in enumerate([args.prompt] + [""] * guided)}))
    for name in ["text-encoder", *watch.written, "pipeline"]:
        print(folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
