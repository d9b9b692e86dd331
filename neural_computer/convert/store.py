"""An Orbax checkpoint, written and read a piece at a time.

Orbax itself writes whole parameters and holds each of them up to three times meanwhile. So it writes the tree with
placeholders, and TensorStore, which Orbax stores arrays with, replaces them where they lie.
"""

from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from neural_computer.models.weights import nested

CHUNK = 2**26
"""Bytes of a stored chunk at most: what a device reads to get its part."""


def create(folder: Path, paths: list[str]) -> None:
    """Writes the checkpoint of a tree with these paths, each a placeholder."""
    tree = nested({path: np.zeros(1, np.float32) for path in paths})
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True)) as saver:
        saver.save(folder.absolute(), tree)


def new_array(folder: Path, path: str, shape: tuple[int, ...], dtype: np.dtype, stacked: bool) -> ts.TensorStore:
    """The place of a parameter, to be written to. A stacked one's chunks hold no more than one block."""
    lead = 1 if stacked else 0
    chunk = [1] * lead + list(shape[lead:])
    if len(shape) > lead:
        row = dtype.itemsize * int(np.prod(shape[lead + 1 :]))
        chunk[lead] = max(1, min(shape[lead], CHUNK // row))
    metadata = {
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    # Orbax takes a chunk that is not there for a loss, not for zeros.
    keep = {"store_data_equal_to_fill_value": True}
    return _open(folder, path, create=True, delete_existing=True, metadata=metadata, **keep)


def array(folder: Path, path: str) -> ts.TensorStore:
    """A parameter, to be read."""
    return _open(folder, path)


def _open(folder: Path, path: str, **spec: Any) -> ts.TensorStore:
    # Synced to disk once, at the end: a sync a piece takes longer than a small network.
    file = {"driver": "file", "path": f"{folder.absolute()}/", "file_io_sync": False}
    kvstore = {"driver": "ocdbt", "base": file, "path": path.replace("/", ".") + "/"}
    return ts.open({"driver": "zarr3", "kvstore": kvstore, **spec}).result()
