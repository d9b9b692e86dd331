"""Floating-point operations (FLOPs) by formula: XLA's own count takes the body of a scan once, whatever the depth."""

from math import prod

from neural_computer.models.dit import DiTConfig


def forward(shape: DiTConfig, grid: tuple[int, int, int], text: int, image: int = 0) -> float:
    """FLOPs of one forward pass of one sample, two a multiply-add; norms and activations are left out.

    `grid` is the size of the video in tokens (f, h, w); `text` and `image` are numbers of context tokens.
    """
    n, d = prod(grid), shape.width
    self_attention = 4 * n * d * d + 2 * n * n * d
    # q and o of every token, k and v of every context token, then scores and weighted sums.
    cross_attention = 2 * n * d * d + 2 * (text + image) * d * d + 2 * n * (text + image) * d
    ffn = 2 * n * d * shape.ffn
    ends = n * prod(shape.patch) * d * (shape.in_channels + shape.out_channels)
    embeddings = text * d * (shape.text_width + d) + image * shape.image_width * (shape.image_width + d)
    return 2.0 * (shape.layers * (self_attention + cross_attention + ffn) + ends + embeddings)


def train_step(shape: DiTConfig, grid: tuple[int, int, int], text: int, image: int = 0, remat: bool = False) -> float:
    """FLOPs of a training step of one sample: the backward pass costs two forward passes, rematerialisation one more."""
    return (4 if remat else 3) * forward(shape, grid, text, image)
