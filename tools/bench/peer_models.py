"""The peers' models at a configuration's sizes, from a copy of diffusers' source."""

import importlib
import json
import sys
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "src/main/resources/dev/kleinscope/weights"
TEXT_TOKENS = 512
# The last hidden state that FLUX.2-klein's prompt embeddings take.
TEXT_LAYERS = 27


def stop(message):
    """Ends the program with one sentence."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def require_torch():
    """PyTorch with a GPU, or the end."""
    try:
        torch = importlib.import_module("torch")
    except ImportError as e:
        stop(f"PyTorch is missing ({e}); install it, with CUDA")
    if not torch.cuda.is_available():
        stop("PyTorch sees no GPU here; run this on a machine with one")
    return torch


def require_diffusers(path):
    """diffusers from `path`: a checkout, its src folder, or the folder that holds the package."""
    for folder in (Path(path) / "src", Path(path)):
        if (folder / "diffusers" / "__init__.py").is_file():
            sys.path.insert(0, str(folder.resolve()))
            try:
                diffusers = importlib.import_module("diffusers")
                diffusers.utils.logging.set_verbosity_error()
                return diffusers
            except (ImportError, RuntimeError) as e:
                stop(f"diffusers in {folder} cannot be imported: {e}")
    stop(f"{path} holds no diffusers package; give a checkout of diffusers")


def read_config(name):
    """A configuration that ships with Kleinscope, or a JSON file of the same form."""
    file = CONFIGS / f"{name}.json" if not name.endswith(".json") else Path(name)
    if not file.is_file():
        stop(f"--config {name}: there is no {file}; klein-4b, or a JSON file with transformer, text_encoder and vae")
    return json.loads(file.read_text())


def parse_sizes(text):
    """[(width, height)] of 256x256,512x512."""
    sizes = []
    for part in text.split(","):
        width, _, height = part.lower().partition("x")
        if not (width.isdigit() and height.isdigit()) or int(width) % 16 or int(height) % 16:
            stop(f"--size {part}: expected WIDTHxHEIGHT, multiples of 16")
        sizes.append((int(width), int(height)))
    return sizes


def randomise(torch, module, seed=1):
    """Matrices normal with variance 1 / fan-in, embeddings with variance 1, norms 1, the rest 0: as `kleinscope synth` has them."""
    generator = torch.Generator("cuda").manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if p.dim() >= 2:
                deviation = 1.0 if name.endswith("embed_tokens.weight") else (p[0].numel()) ** -0.5
                p.normal_(0, deviation, generator=generator)
            else:
                p.fill_(1.0 if name.endswith("weight") else 0.0)
    return module


def build(torch, make, dtype):
    """A model made on the GPU, in evaluation mode."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("cuda"):
            model = make()
    finally:
        torch.set_default_dtype(before)
    return model.eval().requires_grad_(False)


def transformer(torch, config, dtype):
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    sizes = {k: v for k, v in config["transformer"].items() if not k.startswith("_")}
    return build(torch, lambda: Flux2Transformer2DModel(**sizes), dtype)


def autoencoder(torch, config, dtype):
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    sizes = {k: v for k, v in config["vae"].items() if not k.startswith("_") and v is not None}
    return build(torch, lambda: AutoencoderKLFlux2(**sizes), dtype)


def text_encoder(torch, config, dtype, attention):
    """Qwen3 up to the last layer that is needed."""
    from transformers import Qwen3Config, Qwen3Model

    sizes = dict(config["text_encoder"], num_hidden_layers=TEXT_LAYERS)
    sizes.pop("dtype", None)
    qwen = Qwen3Config(**sizes)
    qwen._attn_implementation = attention
    return build(torch, lambda: Qwen3Model(qwen), dtype)


def forward_inputs(torch, config, width, height, dtype, seed=1):
    """Keyword arguments of the transformer's forward, on the GPU; batch 1, t = 0.5, which bf16 keeps when multiplied by 1000."""
    generator = torch.Generator("cuda").manual_seed(seed)
    sizes = config["transformer"]
    rows, columns = height // 16, width // 16

    def normal(*shape):
        return torch.randn(shape, generator=generator, device="cuda", dtype=torch.float32).to(torch.bfloat16).to(dtype)

    img = torch.zeros(rows, columns, 4)
    img[..., 1] += torch.arange(rows)[:, None]
    img[..., 2] += torch.arange(columns)[None, :]
    txt = torch.zeros(TEXT_TOKENS, 4)
    txt[:, 3] = torch.arange(TEXT_TOKENS)
    return {
        "hidden_states": normal(1, rows * columns, sizes["in_channels"]),
        "encoder_hidden_states": normal(1, TEXT_TOKENS, sizes["joint_attention_dim"]),
        "timestep": torch.tensor([0.5], device="cuda", dtype=dtype),
        "img_ids": img.reshape(-1, 4).cuda(),
        "txt_ids": txt.cuda(),
        "guidance": torch.tensor([4.0], device="cuda", dtype=dtype) if sizes.get("guidance_embeds", True) else None,
        "return_dict": False,
    }
