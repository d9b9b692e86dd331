"""The names of the VAE's parameters in published files: diffusers' AutoencoderKLWan and the release's Wan2.1_VAE.pth.

Neither file holds the latents' mean and std: `models.vae.statistics` gives them.
"""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from typing import NamedTuple

from neural_computer.models.vae import WanVAEConfig
from neural_computer.models.weights.rules import KeyTable, Shapes, TensorRule


class _Names(NamedTuple):
    """The keys of one format from which the sizes are read."""

    conv_in: str
    """Last part of the first convolution's name, the same in the encoder and the decoder."""
    layers: str
    """The encoder's layers above the latents' resolution, numbered consecutively."""
    conv: str
    """Within a residual block."""
    unique: str
    """A key that no other network has."""


_FORMATS = {
    "diffusers": _Names("conv_in", "encoder.down_blocks", "conv2", "decoder.up_blocks.0.resnets.0.norm1.gamma"),
    "original": _Names("conv1", "encoder.downsamples", "residual.6", "decoder.upsamples.0.residual.0.gamma"),
}


def recognise(shapes: Shapes) -> tuple[str, KeyTable] | None:
    """("diffusers" | "original", table) when the keys are a Wan2.1 VAE's, its sizes read from the shapes; else None."""
    for name, names in _FORMATS.items():
        # A Wan2.2 VAE shares the decoder's names but numbers its encoder's layers within resolutions.
        if names.unique in shapes and f"{names.layers}.0.{names.conv}.weight" in shapes:
            shape = _sizes(shapes, names)
            return name, KeyTable("vae", asdict(shape), tuple(rules(shape)))
    return None


def _sizes(shapes: Shapes, names: _Names) -> WanVAEConfig:
    width = shapes[f"encoder.{names.conv_in}.weight"][0]
    levels: list[list[int]] = [[]]
    temporal: list[bool] = []
    for i in count():
        layer = f"{names.layers}.{i}"
        if f"{layer}.{names.conv}.weight" in shapes:
            levels[-1].append(shapes[f"{layer}.{names.conv}.weight"][0])
        elif f"{layer}.resample.1.weight" in shapes:
            temporal.append(f"{layer}.time_conv.weight" in shapes)
            levels.append([])
        else:
            break
    return WanVAEConfig(
        width=width,
        channels=shapes[f"decoder.{names.conv_in}.weight"][1],
        multipliers=tuple(level[-1] // width for level in levels),
        blocks=len(levels[0]),
        temporal=tuple(temporal),
    )


def rules(shape: WanVAEConfig) -> Iterator[TensorRule]:
    """Yields a rule for each parameter of the encoder and the decoder."""
    widths, levels = shape.widths, len(shape.multipliers)

    index, into = 0, shape.width
    for level, width in enumerate(widths):
        for i in range(shape.blocks):
            diffusers, original = f"encoder.down_blocks.{index}", f"encoder.downsamples.{index}"
            yield from _residual(f"encoder/level_{level}_block_{i}", diffusers, original, into != width)
            index, into = index + 1, width
        if level < levels - 1:
            diffusers, original = f"encoder.down_blocks.{index}", f"encoder.downsamples.{index}"
            yield from _resample(f"encoder/level_{level}_down", diffusers, original, shape.temporal[level])
            index += 1
    yield from _ends("encoder")
    yield from _pair("encoder/quant", "quant_conv", "conv1", "patch")

    yield from _pair("decoder/post_quant", "post_quant_conv", "conv2", "patch")
    yield from _ends("decoder")
    index, into = 0, widths[-1]
    for block, (level, width) in enumerate(reversed(tuple(enumerate(widths)))):
        for i in range(shape.blocks + 1):
            diffusers, original = f"decoder.up_blocks.{block}.resnets.{i}", f"decoder.upsamples.{index}"
            yield from _residual(f"decoder/level_{level}_block_{i}", diffusers, original, into != width)
            index, into = index + 1, width
        if level > 0:
            diffusers, original = f"decoder.up_blocks.{block}.upsamplers.0", f"decoder.upsamples.{index}"
            yield from _resample(f"decoder/level_{level}_up", diffusers, original, shape.temporal[level - 1])
            index, into = index + 1, width // 2


def _pair(path: str, diffusers: str, original: str, layout: str) -> Iterator[TensorRule]:
    """Yields the rules of a layer's weight, in a `layout`, and of its bias."""
    yield TensorRule(f"{path}/kernel", f"{diffusers}.weight", f"{original}.weight", layout)
    yield TensorRule(f"{path}/bias", f"{diffusers}.bias", f"{original}.bias")


def _gain(path: str, diffusers: str, original: str) -> TensorRule:
    return TensorRule(f"{path}/scale", f"{diffusers}.gamma", f"{original}.gamma", "vector")


def _residual(path: str, diffusers: str, original: str, projects: bool) -> Iterator[TensorRule]:
    # The original numbers norms, convolutions, SiLUs and a dropout consecutively.
    for i, norm, conv in ((1, 0, 2), (2, 3, 6)):
        yield _gain(f"{path}/norm{i}", f"{diffusers}.norm{i}", f"{original}.residual.{norm}")
        yield from _pair(f"{path}/conv{i}", f"{diffusers}.conv{i}", f"{original}.residual.{conv}", "conv")
    if projects:
        yield from _pair(f"{path}/shortcut", f"{diffusers}.conv_shortcut", f"{original}.shortcut", "patch")


def _resample(path: str, diffusers: str, original: str, time: bool) -> Iterator[TensorRule]:
    yield from _pair(f"{path}/conv", f"{diffusers}.resample.1", f"{original}.resample.1", "conv")
    if time:
        yield from _pair(f"{path}/time_conv", f"{diffusers}.time_conv", f"{original}.time_conv", "conv")


def _ends(part: str) -> Iterator[TensorRule]:
    """Yields the rules that the encoder and the decoder share: first and last convolution and the middle."""
    yield from _pair(f"{part}/conv_in", f"{part}.conv_in", f"{part}.conv1", "conv")
    for i in (0, 1):
        resnet, middle = f"{part}.mid_block.resnets.{i}", f"{part}.middle.{2 * i}"
        yield from _residual(f"{part}/middle/block_{i}", resnet, middle, False)
    path, diffusers, original = f"{part}/middle/attention", f"{part}.mid_block.attentions.0", f"{part}.middle.1"
    yield _gain(f"{path}/norm", f"{diffusers}.norm", f"{original}.norm")
    yield from _pair(f"{path}/qkv", f"{diffusers}.to_qkv", f"{original}.to_qkv", "patch")
    yield from _pair(f"{path}/proj", f"{diffusers}.proj", f"{original}.proj", "patch")
    yield _gain(f"{part}/norm_out", f"{part}.norm_out", f"{part}.head.0")
    yield from _pair(f"{part}/conv_out", f"{part}.conv_out", f"{part}.head.2", "conv")
