"""Files of published weights, read a tensor at a time."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from neural_computer.errors import first_line
from neural_computer.models import weights

TORCH = (".pth", ".pt", ".bin")
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Dtypes of parameters: safetensors' name -> numpy's"""
MAPPED = 2**30
"""Bytes read from a mapped file before it is mapped anew: read pages count as this process's memory until then."""


class StoredTensor(NamedTuple):
    """A tensor in a file."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    """numpy's name, or the file's own for one that is not in `DTYPES`"""


@dataclass
class WeightSource:
    """The tensors of one network, by key without prefix."""

    place: Path
    tensors: dict[str, StoredTensor]
    heads: int | None
    """From config.json beside the files"""
    fixed: dict[str, list[float]] = field(default_factory=dict)
    """A VAE's mean and std of its latents, from config.json"""
    _mapped: dict[Path, Any] = field(default_factory=dict)
    _read: int = 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tensor.shape for key, tensor in self.tensors.items()}

    @property
    def files(self) -> dict[str, int]:
        """File name -> bytes."""
        return {file.name: file.stat().st_size for file in sorted({t.file for t in self.tensors.values()})}

    def dtype(self, keys: Iterable[str]) -> np.dtype:
        """The narrowest dtype that represents these tensors. Raises ValueError for a tensor of none of `DTYPES`."""
        for key in keys:
            dtype = self.tensors[key].dtype
            if dtype not in DTYPES.values():
                raise ValueError(f"{key}: is {dtype}; this reads {', '.join(DTYPES.values())}: take files of those")
        return np.result_type(*{np.dtype(self.tensors[key].dtype) for key in keys})

    def get(self, key: str) -> np.ndarray:
        """The tensor of a key. Raises ValueError if its file cannot be read."""
        tensor = self.tensors[key]
        if tensor.file.suffix == ".safetensors":
            with _safetensors(tensor.file) as file:
                return file.get_tensor(tensor.key)
        if self._read > MAPPED:
            self._mapped.clear()
            self._read = 0
        if tensor.file not in self._mapped:
            self._mapped[tensor.file] = _load_torch(tensor.file)
        array = _numpy(self._mapped[tensor.file][tensor.key])
        self._read += array.nbytes
        return array


def find(place: Path) -> tuple[list[WeightSource], Path | None]:
    """(networks in a file or folder, folder of the tokenizer or None). Raises ValueError if there are no networks."""
    if place.is_file():
        return [_source(place, [place])], None
    if not place.is_dir():
        raise ValueError(f"{place}: is not there; --input is a file or a folder of published weights")
    networks: list[WeightSource] = []
    for folder in (place, *sorted(path for path in place.iterdir() if path.is_dir())):
        if shards := _shards(folder):
            networks.append(_source(folder, shards))
        networks += [_source(file, [file]) for file in sorted(folder.iterdir()) if file.suffix in TORCH]
    if not networks:
        raise ValueError(f"{place}: holds no weights (.safetensors, {', '.join(TORCH)}), nor do the folders in it")
    return networks, _tokenizer(place)


def _tokenizer(place: Path) -> Path | None:
    folders = [place / "tokenizer", *sorted(place.glob("google/*"))]
    return next((f for f in folders if (f / "tokenizer.json").exists() or (f / "spiece.model").exists()), None)


def _shards(folder: Path) -> list[Path]:
    """A folder's safetensors files, by its index if it has one. Raises ValueError for one that is missing."""
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if len(indices) != 1:
        return sorted(folder.glob("*.safetensors"))
    try:
        names = sorted(set(json.loads(indices[0].read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"{indices[0]}: is no index of safetensors files; fetch it again") from None
    for name in names:
        if not (folder / name).exists():
            raise ValueError(f"{folder / name}: is missing, {indices[0].name} names it; fetch it")
    return [folder / name for name in names]


def _source(place: Path, files: list[Path]) -> WeightSource:
    """The network in some files. Raises ValueError for files that cannot be read or share a key."""
    stored: dict[str, StoredTensor] = {}
    for file in files:
        for tensor in _safetensors_in(file) if file.suffix == ".safetensors" else _torch_in(file):
            if tensor.key in stored:
                raise ValueError(
                    f"{place}: {stored[tensor.key].file.name} and {file.name} both hold {tensor.key}; keep one"
                )
            stored[tensor.key] = tensor
    try:
        keys = weights.strip_prefixes(stored)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    config = _config(files[0].with_name("config.json"))
    # The release's config says num_heads.
    heads = config.get("num_attention_heads", config.get("num_heads"))
    fixed = {name: config[f"latents_{name}"] for name in ("mean", "std") if f"latents_{name}" in config}
    return WeightSource(place, {short: stored[key] for short, key in keys.items()}, heads, fixed)


def _config(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


def _safetensors(file: Path) -> Any:
    try:
        return safe_open(file, "numpy")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file}: cannot be read ({first_line(error)}); it is cut short or no safetensors file: fetch it again"
        ) from None


def _safetensors_in(file: Path) -> Iterator[StoredTensor]:
    with _safetensors(file) as opened:
        for key in opened.keys():  # noqa: SIM118  # not a mapping
            part = opened.get_slice(key)
            yield StoredTensor(file, key, tuple(part.get_shape()), DTYPES.get(part.get_dtype(), part.get_dtype()))


def _load_torch(file: Path) -> dict[str, Any]:
    """A .pth file's tensors, memory-mapped. Raises ValueError for a file with anything but tensors."""
    try:
        import torch
    except ImportError:
        raise ValueError(f"{file}: needs PyTorch to be read (pip install torch), or take safetensors files") from None
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise ValueError(
            f"{file}: cannot be read ({first_line(error)}); it is cut short or holds more than tensors"
        ) from None
    if not isinstance(stored, dict) or not all(isinstance(x, torch.Tensor) for x in stored.values()):
        raise ValueError(f"{file}: is no flat table of tensors")
    return stored


def _torch_in(file: Path) -> Iterator[StoredTensor]:
    for key, tensor in _load_torch(file).items():
        yield StoredTensor(file, key, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _numpy(tensor: Any) -> np.ndarray:
    """A torch tensor as a numpy array, not copied; torch itself does not convert bfloat16 to ml_dtypes'."""
    if str(tensor.dtype) == "torch.bfloat16":
        import torch

        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
