#!/usr/bin/env python3
"""What diffusers computes when its activations are changed: cases of kind `dit` whose metadata holds the interventions.

Each intervention is written as for `kleinscope --intervene` and made with a forward hook on the module of that name, in float64; files it
takes directions or activations from are the case itself, `.`. Needs PyTorch, safetensors and a copy of diffusers' source; no GPU.

  tools/reference/interventions_reference.py --diffusers ../diffusers --model weights/tiny-klein --out src/test/resources/reference/cases
  tools/kleinscope validate --case src/test/resources/reference/cases/interventions-blocks.safetensors
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import peer_models as peers  # noqa: E402

IMAGE_HEIGHT, IMAGE_WIDTH, TEXT_TOKENS = 3, 5, 8
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

CASES = {
    "interventions-blocks": [
        "x_embedder:scale=1.5,tokens=0-9",
        "context_embedder:noise=0.5,absolute,seed=9,channels=8-23",
        "transformer_blocks.0.attn.to_q:scale=0.5,channels=0-31",
        "transformer_blocks.0.attn.add_v_proj:zero,tokens=3-5",
        "transformer_blocks.1.img:zero,tokens=0-3+8",
        "transformer_blocks.1.ff_context:mean",
        "transformer_blocks.2.txt:mean,tokens=1-3+6",
        "transformer_blocks.3.attn.img:add=.:vector.steer,strength=2",
        "transformer_blocks.3.ff.linear_in:scale=-1,channels=10-20",
        "transformer_blocks.4.img:remove=.:vector.steer",
        "transformer_blocks.4.img:scale=1.25,tokens=2",
        "single_transformer_blocks.2:rotate=30,plane=.:vector.u+vector.v,stream=image",
        "single_transformer_blocks.5:rotate=45,seed=3",
        "single_transformer_blocks.7:noise=0.1,seed=5,stream=text",
        "single_transformer_blocks.8.attn.to_qkv_mlp_proj:zero,channels=0-63",
        "single_transformer_blocks.9.attn:remove=.:vector.steer,strength=0.5,stream=image,tokens=0-7",
        "single_transformer_blocks.11:mean=image,stream=text",
        "norm_out:scale=0.9",
        "proj_out:add=.:vector.out",
    ],
    "interventions-fused": [
        "pos_embed.cos:scale=0.5",
        "pos_embed.sin:scale=-1",
        "time_guidance_embed:scale=1.1",
        "double_stream_modulation_img:scale=0.9,channels=0-63",
        "double_stream_modulation_txt:zero,channels=100-130",
        "single_stream_modulation:add=.:vector.modulation",
        "transformer_blocks.0.norm1:scale=0.5,tokens=0-9",
        "transformer_blocks.0.attn.norm_q:zero,channels=0-31",
        "transformer_blocks.1.attn.norm_added_k:rotate=60,seed=2",
        "transformer_blocks.1.norm1_context:add=.:vector.steer",
        "transformer_blocks.2.norm2:remove=.:vector.u",
        "transformer_blocks.2.norm2_context:mean",
        "transformer_blocks.3.attn.norm_k:scale=2",
        "single_transformer_blocks.1.norm:rotate=90,plane=.:vector.u+vector.v",
        "single_transformer_blocks.1.attn.norm_q:scale=0.5,stream=image",
        "single_transformer_blocks.4.attn.norm_k:zero,stream=text",
    ],
    "interventions-replace": [
        "transformer_blocks.0.attn.norm_k:replace=.",
        "transformer_blocks.1.txt:replace=.",
        "transformer_blocks.2.attn.img:replace=.,tokens=0-5",
        "transformer_blocks.3.norm2:replace=.,channels=5-40",
        "single_transformer_blocks.3:replace=.,stream=image",
        "single_transformer_blocks.6:mean=.,stream=text",
    ],
}
ALSO_KEPT = ["transformer_blocks.4.img", "transformer_blocks.4.txt", "single_transformer_blocks.0", "single_transformer_blocks.10",
             "single_transformer_blocks.19"]


def mix(z):
    """The finaliser of SplitMix64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def numbers_key(seed, *values):
    key = mix((seed + GOLDEN) & MASK)
    for value in values:
        key = mix((key + GOLDEN * (value + 1)) & MASK)
    return key


def number(key, index):
    return mix((key + GOLDEN * (index + 1)) & MASK)


def normal(key, index):
    """A normal number by Box and Muller."""
    first, second = (((number(key, 2 * index + i) >> 11) + 1) * 2.0 ** -53 for i in (0, 1))
    return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)


class Intervention:
    """One intervention as text: POINT:KIND[=VALUE][,KEY[=VALUE]]..."""

    def __init__(self, text):
        self.point, _, rest = text.partition(":")
        first, *more = rest.split(",")
        self.kind, _, self.value = first.partition("=")
        self.options = dict(part.partition("=")[::2] for part in more)

    def rows(self, count, stream):
        """Indices of the rows of a stream among `count`."""
        joint = count == TEXT_TOKENS + IMAGE_HEIGHT * IMAGE_WIDTH
        return {"image": range(TEXT_TOKENS if joint else 0, count), "text": range(TEXT_TOKENS), "all": range(count)}[stream]

    def picked(self, count, key):
        if key not in self.options:
            return list(range(count))
        ends = [part.partition("-")[::2] for part in self.options[key].split("+")]
        return [i for first, last in ends for i in range(int(first), int(last or first) + 1)]

    def apply(self, torch, x, tensors):
        """The activation changed; x is [rows, channels] or [batch, rows, ...]."""
        shape = x.shape
        x = x.reshape(-1, shape[-1]).clone() if x.dim() == 2 else x.reshape(shape[1], -1).clone()
        rows = list(self.rows(x.shape[0], self.options.get("stream", "all")))
        rows = [rows[i] for i in self.picked(len(rows), "tokens")]
        channels = self.picked(x.shape[1], "channels")
        where = (torch.tensor(rows)[:, None], torch.tensor(channels)[None])
        x[where] = self.change(torch, x, x[where], rows, channels, tensors)
        return x.reshape(shape)

    def change(self, torch, whole, x, rows, channels, tensors):
        def named(reference):
            return tensors[reference.removeprefix(".:")].double()

        strength = float(self.options.get("strength", 1))
        if self.kind == "scale":
            return x * float(self.value)
        if self.kind == "zero":
            return torch.zeros_like(x)
        if self.kind == "mean":
            if self.value == ".":
                source = tensors[f"step.0.{self.point}"].double().reshape(whole.shape)[rows][:, channels]
            elif self.value:
                source = whole[list(self.rows(whole.shape[0], self.value))][:, channels]
            else:
                source = x
            return source.mean(0, keepdim=True).expand_as(x)
        if self.kind == "add":
            return x + strength * named(self.value)
        if self.kind == "remove":
            d = named(self.value)
            d = d / d.norm()
            return x - strength * (x @ d)[:, None] * d
        if self.kind == "rotate" and "plane" in self.options:
            u, v = (named(name) for name in re.fullmatch(r"\.:(.+)\+(.+)", self.options["plane"]).groups())
            u = u / u.norm()
            v = v - (v @ u) * u
            v = v / v.norm()
            c, s = math.cos(math.radians(float(self.value))), math.sin(math.radians(float(self.value)))
            a, b = (x @ u)[:, None], (x @ v)[:, None]
            return x + (a * c - b * s - a) * u + (a * s + b * c - b) * v
        if self.kind == "rotate":
            key = numbers_key(int(self.options.get("seed", 1)))
            signs = [-1.0 if number(key, i) >> 63 else 1.0 for i in range(x.shape[1] // 2)]
            c, s = math.cos(math.radians(float(self.value))), math.sin(math.radians(float(self.value))) * torch.tensor(signs).double()
            out = torch.empty_like(x)
            out[:, 0::2] = c * x[:, 0::2] - s * x[:, 1::2]
            out[:, 1::2] = c * x[:, 1::2] + s * x[:, 0::2]
            return out
        if self.kind == "replace":
            return tensors[f"step.0.{self.point}"].double().reshape(whole.shape)[rows][:, channels]
        if self.kind == "noise":
            key = numbers_key(int(self.options.get("seed", 1)), 0, 0, *self.point.encode())
            drawn = torch.tensor([[normal(key, row * whole.shape[1] + channel) for channel in channels] for row in rows]).double()
            size = 1 if "absolute" in self.options else x.pow(2).mean(1, keepdim=True).sqrt()
            return x + float(self.value) * size * drawn
        peers.stop(f"no intervention is called {self.kind}")


def hook_place(point):
    """Module path and, for a module of several outputs, the index of the point's."""
    block = re.fullmatch(r"(transformer_blocks\.\d+)\.(txt|img)", point)
    if block:
        return block[1], ("txt", "img").index(block[2])
    attention = re.fullmatch(r"(transformer_blocks\.\d+\.attn)\.(img|txt)", point)
    if attention:
        return attention[1], ("img", "txt").index(attention[2])
    angles = re.fullmatch(r"pos_embed\.(cos|sin)", point)
    return ("pos_embed", ("cos", "sin").index(angles[1])) if angles else (point, None)


def run(torch, model, inputs, interventions, tensors, kept):
    """One forward with hooks: its output, and what the points of `kept` held after their changes."""
    activations, handles = {}, []

    def hook(point, index):
        def changed(module, args, output):
            value = output if index is None else output[index]
            for intervention in interventions:
                if intervention.point == point:
                    value = intervention.apply(torch, value, tensors).to(value.dtype)
            if point in kept:
                # positions are embedded for the image first, then for the text, whose rows come first
                before = activations.get(point)
                activations[point] = value if before is None else torch.cat([value, before])
            return value if index is None else tuple(value if i == index else other for i, other in enumerate(output))

        return changed

    for point in dict.fromkeys([intervention.point for intervention in interventions] + list(kept)):
        path, index = hook_place(point)
        handles.append(model.get_submodule(path).register_forward_hook(hook(point, index)))
    with torch.no_grad():
        sample = model(**inputs, return_dict=False)[0]
    for handle in handles:
        handle.remove()
    return sample, activations


def load(torch, folder):
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    model = Flux2Transformer2DModel.from_config(config).double().eval()
    weights = {name: value.double() for name, value in load_file(str(folder / "diffusion_pytorch_model.safetensors")).items()}
    model.load_state_dict(weights)
    return model


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--diffusers", required=True, help="a copy of diffusers' source")
    options.add_argument("--model", required=True, type=Path, help="model folder; its transformer is used")
    options.add_argument("--out", required=True, type=Path, help="folder for the cases")
    options.add_argument("--seed", type=int, default=11)
    given = options.parse_args()
    diffusers = peers.require_diffusers(given.diffusers)
    import torch
    from safetensors.torch import save_file

    model = load(torch, given.model / "transformer")
    config = model.config
    hidden = config.num_attention_heads * config.attention_head_dim
    generator = torch.Generator().manual_seed(given.seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    image_tokens = IMAGE_HEIGHT * IMAGE_WIDTH
    img_ids = torch.tensor([[0, y, x, 0] for y in range(IMAGE_HEIGHT) for x in range(IMAGE_WIDTH)])
    txt_ids = torch.tensor([[0, 0, 0, i] for i in range(TEXT_TOKENS)])

    def inputs(latents, embeds):
        return {"hidden_states": latents.double(), "encoder_hidden_states": embeds.double(), "timestep": torch.tensor([0.6]).double(),
                "img_ids": img_ids, "txt_ids": txt_ids}

    latents, embeds = drawn(1, image_tokens, config.in_channels), drawn(1, TEXT_TOKENS, config.joint_attention_dim)
    other = inputs(drawn(1, image_tokens, config.in_channels), drawn(1, TEXT_TOKENS, config.joint_attention_dim))
    vectors = {"vector.steer": drawn(hidden), "vector.u": drawn(hidden), "vector.v": drawn(hidden),
               "vector.out": drawn(config.out_channels or config.in_channels), "vector.modulation": 0.1 * drawn(3 * hidden)}
    plain, _ = run(torch, model, inputs(latents, embeds), [], {}, [])
    for name, texts in CASES.items():
        interventions = [Intervention(text) for text in texts]
        points = [intervention.point for intervention in interventions]
        tensors = dict(vectors)
        if name == "interventions-replace":
            _, activations = run(torch, model, other, [], {}, points)
            tensors = {f"step.0.{point}": value.float() for point, value in activations.items()}
        sample, activations = run(torch, model, inputs(latents, embeds), interventions, tensors, points + ALSO_KEPT)
        moved = ((sample - plain).norm() / plain.norm()).item()
        tensors.update({f"act.{point}": value for point, value in activations.items()})
        tensors.update({"in.hidden_states": latents, "in.encoder_hidden_states": embeds, "in.timestep": torch.tensor([0.6]),
                        "out.sample": sample})
        tensors = {key: value.float().contiguous() for key, value in tensors.items()}
        tensors.update({"in.img_ids": img_ids.int(), "in.txt_ids": txt_ids.int()})
        metadata = {"kind": "dit", "model": f"{given.model.name}/transformer", "interventions": "\n".join(texts),
                    "reference": f"diffusers {diffusers.__version__}, torch {torch.__version__}, computed in float64, stored as float32"}
        save_file(tensors, str(given.out / f"{name}.safetensors"), metadata)
        print(f"{name}: {len(texts)} interventions moved the output by {moved:.3f} of its norm")


if __name__ == "__main__":
    main()
