"""An Orbax checkpoint, written and read a piece at a time.

Orbax itself writes whole parameters and needs up to three times their memory. So it writes the tree with placeholders, and
TensorStore, which Orbax stores arrays with, replaces them in place.
"""

from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from neural_computer.models.weights import nested

CHUNK = 2**26
"""Most bytes of a stored chunk, which a device reads to get its part."""


def create(folder: Path, paths: list[str]) -> None:
    """Writes a checkpoint with a placeholder at each of these paths."""
    tree = nested({path: np.zeros(1, np.float32) for path in paths})
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True)) as saver:
        saver.save(folder.absolute(), tree)


def new_array(folder: Path, path: str, shape: tuple[int, ...], dtype: np.dtype, stacked: bool) -> ts.TensorStore:
    """An array for a parameter, to be written. A chunk of a stacked one holds at most one block."""
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
    # Orbax reads an absent chunk as data loss, not as zeros.
    options = {"store_data_equal_to_fill_value": True}
    return _open(folder, path, create=True, delete_existing=True, metadata=metadata, **options)


def array(folder: Path, path: str) -> ts.TensorStore:
    """The array of a parameter, to be read."""
    return _open(folder, path)


def _open(folder: Path, path: str, **spec: Any) -> ts.TensorStore:
    # Synced to disk once, at the end: a sync for every piece takes longer than a small network.
    file = {"driver": "file", "path": f"{folder.absolute()}/", "file_io_sync": False}
    kvstore = {"driver": "ocdbt", "base": file, "path": path.replace("/", ".") + "/"}
    return ts.open({"driver": "zarr3", "kvstore": kvstore, **spec}).result()
