"""Our networks and PyTorch's with the same weights, each as a call: what the suite `models` runs."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neural_computer import build
from neural_computer.configs import cligen
from neural_computer.launch.bench.case import Case
from neural_computer.models import flops, weights
from neural_computer.models.linear_codec import latent_size
from neural_computer.models.vae import statistics
from neural_computer.types import Encoded, FrozenParams, PyTree

HEAD, TEXT, IMAGE, IMAGE_WIDTH = 128, 512, 257, 1280
"""Width of a head; rows of text; rows of image features and their width."""


@dataclass(frozen=True)
class Size:
    """A DiT in the proportions of Wan2.1's 1.3B, and what is run beside it; videos are (frames, height, width)."""

    heads: int
    layers: int
    video: tuple[int, int, int]
    vae: int = 0
    """The VAE's width; with 0 the DiT's forward pass alone is run."""
    vae_video: tuple[int, int, int] = (0, 0, 0)
    update: str = ""
    """The size in configs/sizes.py of which an update is timed too."""
    image: bool = True
    dtype: str = "float32"
    attention: str = "blockwise"
    close: float = 1e-4
    """How far apart results may be, of the largest magnitude."""

    @property
    def width(self) -> int:
        return HEAD * self.heads

    @property
    def text_width(self) -> int:
        return self.width * 8 // 3


class Pair(NamedTuple):
    """The same work twice: `ours` and `peer` each make a call, which returns its result when that is there."""

    name: str
    ours: Callable[[], Callable[[], Any]]
    peer: Callable[[], Callable[[], Any]]
    flops: float = 0.0
    why: str = ""
    """What makes ours slower on a CPU, where it is."""
    to_ours: Callable[[Any], PyTree] = lambda result: result.float().cpu().numpy()
    """The peer's result, laid out as ours."""


def all_of(size: Size) -> list[Pair]:
    """The pairs of a size. From here on PyTorch has a thread a core, as XLA has, and nothing compiled is read from disk."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_default_matmul_precision", "highest" if size.dtype == "float32" else "default")
    return [*dit(size), *vae(size), umt5(size)] if size.vae else dit(size)[:1]


def against() -> str:
    """The peer's libraries."""
    import diffusers
    import torch

    return f"diffusers {diffusers.__version__}, torch {torch.__version__}"


def dit(size: Size) -> list[Pair]:
    """The DiT on one video: forward; and the gradients of all parameters, of the output's mean square."""
    import diffusers

    channels, more = 16, {}
    if size.image:
        channels, more = 36, {"image_dim": IMAGE_WIDTH, "added_kv_proj_dim": size.width}
    theirs = diffusers.WanTransformer3DModel(
        num_attention_heads=size.heads, attention_head_dim=HEAD, ffn_dim=size.width * 35 // 6, num_layers=size.layers,
        text_dim=size.text_width, in_channels=channels, **more,
    )  # fmt: skip
    theirs = randomized(theirs, size)
    fmt, table = table_of(theirs)
    ours = weights.module("dit", table.config, jnp.dtype(size.dtype)).clone(attention=size.attention)

    f, i, j = latent_size(*size.video)
    z, text, image = normal(1, f, i, j, channels), normal(1, TEXT, size.text_width), normal(1, IMAGE, IMAGE_WIDTH)
    rest = (text, image) if size.image else (text,)

    def forward(params: PyTree, *inputs: Any) -> Any:
        return ours.apply({"params": params}, *inputs).prediction

    def loss(params: PyTree, *inputs: Any) -> Any:
        return jnp.square(forward(params, *inputs)).mean()

    def call(function: Callable[..., Any]) -> Callable[[], Any]:
        return jitted(function, loaded(theirs), z, np.full((1, 1), 500, np.float32), *rest)

    def their_forward() -> Callable[[], Any]:
        inputs = [to_torch(x, size) for x in (np.moveaxis(z, -1, 1), np.full(1, 500, np.float32), *rest)]
        return lambda: theirs(*inputs, return_dict=False)[0].movedim(1, -1)

    def their_gradients() -> Callable[[], Any]:
        forward = their_forward()

        def run() -> dict[str, Any]:
            forward().square().mean().backward()
            gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
            theirs.zero_grad()
            return gradients

        return run

    name = f"DiT {named(size.video)}"
    count = flops.forward(ours.shape, (f, i // 2, j // 2), TEXT, IMAGE if size.image else 0)
    return [
        Pair(f"{name} forward", lambda: call(forward), lambda: inference(their_forward()), 0 if size.vae else count),
        Pair(
            f"{name} gradients",
            lambda: call(jax.grad(loss)),
            their_gradients,
            why=BACKWARD,
            to_ours=lambda gradients: weights.params_from(table, fmt, lambda key: gradients[key].numpy()),
        ),
    ]


BACKWARD = (
    "attention, whose two passes take XLA half as long again as PyTorch's fused kernel, is 60 % of the difference; the rest "
    "fills the arrays, stacked over depth, that a scan saves and returns"
)


def vae(size: Size) -> Iterator[Pair]:
    """The VAE on one video: to normalised latents; and back."""
    import diffusers
    import torch

    theirs = randomized(diffusers.AutoencoderKLWan(base_dim=size.vae), size)
    ours = weights.module("vae", table_of(theirs)[1].config)
    fixed = statistics(ours.channels)
    mean, std = (torch.tensor(fixed[name])[:, None, None, None] for name in ("mean", "std"))
    video, z = np.tanh(normal(1, *size.vae_video, 3)), normal(1, *latent_size(*size.vae_video), ours.channels)

    def encode(x: Any) -> Any:
        return (theirs.encode(x).latent_dist.mode() - mean) / std

    def decode(z: Any) -> Any:
        return theirs.decode(z * std + mean).sample

    for name, function, their_function, x in (
        ("encode", ours.encode, encode, video),
        ("decode", ours.decode, decode, z),
    ):

        def call(function: Any = function, x: np.ndarray = x) -> Callable[[], Any]:
            return jitted(function, loaded(theirs) | fixed, x)

        def peer(function: Any = their_function, x: np.ndarray = x) -> Callable[[], Any]:
            video = to_torch(np.moveaxis(x, -1, 1), size)
            return inference(lambda: function(video).movedim(1, -1))

        yield Pair(f"VAE {named(size.vae_video)} {name}", call, peer)


def umt5(size: Size) -> Pair:
    """UMT5's encoder, as wide as the DiT's text."""
    import torch
    import transformers

    width = size.text_width
    config = transformers.UMT5Config(
        vocab_size=1000, d_model=width, d_kv=64, num_heads=width // 64, d_ff=width * 5 // 2, num_layers=size.layers
    )
    theirs = randomized(transformers.UMT5EncoderModel(config), size)
    ours = weights.module("umt5", table_of(theirs)[1].config)
    ids = np.random.default_rng(0).integers(1, config.vocab_size, (1, TEXT)).astype(np.int32)

    def forward(params: PyTree, ids: Any) -> Any:
        return ours.apply({"params": params}, ids)

    def peer() -> Callable[[], Any]:
        tokens = torch.tensor(ids)
        return inference(lambda: theirs(tokens).last_hidden_state)

    return Pair(f"UMT5 {TEXT} tokens", lambda: jitted(forward, loaded(theirs), ids), peer)


def update(size: Size) -> Case:
    """One update on one video, through the trainer; what attention returned is kept for the backward pass, no more."""
    config = cligen.get_config(size.update)
    config.network.update(attention=size.attention, dtype=size.dtype, remat="attention")
    trainer = build.build(config).trainer
    shape, (f, i, j, c) = trainer.model.network.dit.shape, trainer.model.latent_shape
    batch = Encoded(
        index=np.zeros(1, np.int32),
        latents=normal(1, f, i, j, c),
        cond=normal(1, f, i, j, shape.in_channels - c),
        text=normal(1, TEXT, shape.text_width),
        image=normal(1, IMAGE, shape.image_width),
    )
    batch, state = jax.device_put(batch), [jax.jit(lambda: trainer.init(0))()]
    step = jax.jit(lambda state, batch: trainer.update(state, FrozenParams(), batch, 0), donate_argnums=0)

    def ours() -> None:
        state[0], metrics = step(state[0], batch)
        jax.block_until_ready(metrics)

    count = flops.train_step(shape, (f, i // 2, j // 2), TEXT, IMAGE)
    return Case(f"update {size.update}", "none", "calls/s", 1, ours, None, flops=count)


# Either side


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def named(video: tuple[int, int, int]) -> str:
    return "x".join(map(str, video))


def normal(*shape: int) -> np.ndarray:
    """Random numbers, the same in every process."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def randomized(network: Any, size: Size) -> Any:
    """A PyTorch module in evaluation, on JAX's device, in the size's dtype but for what its library keeps in float32.

    Every parameter gets noise: zeros and ones hide what they multiply.
    """
    import torch

    kept = set(network._keep_in_fp32_modules or ())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
            if not kept & set(name.split(".")):
                parameter.data = parameter.to(getattr(torch, size.dtype))
    return network.eval().to(device())


def to_torch(x: np.ndarray, size: Size) -> Any:
    """An array as a PyTorch tensor, on JAX's device, in the size's dtype."""
    import torch

    return torch.tensor(np.ascontiguousarray(x)).to(device(), getattr(torch, size.dtype))


def device() -> str:
    """JAX's device, in PyTorch's words."""
    return "cpu" if on_cpu() else "cuda"


def inference(function: Callable[[], Any]) -> Callable[[], Any]:
    """`function` of PyTorch without gradients, finished when it returns."""
    import torch

    @torch.inference_mode()
    def run() -> Any:
        result = function()
        if not on_cpu():
            torch.cuda.synchronize()
        return result

    return run


def table_of(network: Any) -> tuple[str, weights.KeyTable]:
    """Format and table of a PyTorch module; every tensor must have its place."""
    shapes = {key: tuple(x.shape) for key, x in network.state_dict().items()}
    fmt, table = weights.detect(shapes)
    weights.check(table, fmt, shapes).require_complete()
    return fmt, table


def loaded(network: Any) -> PyTree:
    """Our parameters, from a PyTorch module's."""
    (fmt, table), tensors = table_of(network), network.state_dict()
    return weights.params_from(table, fmt, lambda key: tensors[key].float().cpu().numpy())


def jitted(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Our function of arguments on the device: compiled at the first call, finished when it returns."""
    compiled, args = jax.jit(function), jax.device_put(args)
    return lambda: jax.block_until_ready(compiled(*args))
