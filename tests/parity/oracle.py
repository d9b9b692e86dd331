"""Shared by the parity tests: PyTorch modules without a parameter at its initial value, their tensors, and a distance."""

from typing import Any

import jax
import numpy as np
import torch

from neural_computer.models import weights
from neural_computer.types import PyTree

torch.set_num_threads(1)


def randomised(module: Any, seed: int = 0, scale: float = 0.2) -> Any:
    """`module`, in evaluation, with noise on every parameter: zeros, ones and shared values hide what they multiply."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def tensors(module: Any) -> dict[str, np.ndarray]:
    """A module's tensors by key."""
    return {key: value.detach().numpy() for key, value in module.state_dict().items()}


def loaded(arrays: dict[str, np.ndarray], heads: int | None = None) -> tuple[str, Any, PyTree]:
    """(format, module, variables) of the network in these tensors; every one must be used, or be listed as ignored."""
    shapes = {key: value.shape for key, value in arrays.items()}
    fmt, table = weights.detect(shapes, heads)
    weights.check(table, fmt, shapes).require_complete()
    return (
        fmt,
        weights.module(table.network, table.config),
        {"params": weights.params_from(table, fmt, arrays.__getitem__)},
    )


def predict(module: Any, variables: PyTree, *args: Any) -> np.ndarray:
    """The module's output (of a DiT its prediction), multiplied in full float32."""
    with jax.default_matmul_precision("highest"):
        output = jax.jit(module.apply)(variables, *args)
    return np.asarray(getattr(output, "prediction", output))


def distance(ours: Any, theirs: Any) -> float:
    """Largest difference over the largest magnitude; infinite for different shapes or anything not finite."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
