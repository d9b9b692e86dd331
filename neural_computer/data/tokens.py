"""Captions to token ids, in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class ByteTokenizer:
    """UTF-8 bytes plus one, padded with 0 to `length`. A longer caption is refused, not cut."""

    length: int

    def __call__(self, texts: Sequence[str]) -> Int[np.ndarray, "n l"]:
        ids = np.zeros((len(texts), self.length), np.int32)
        for row, text in zip(ids, texts, strict=True):
            data = np.frombuffer(text.encode(), np.uint8)
            if len(data) > self.length:
                raise ValueError(
                    f"caption {text!r}: has {len(data)} bytes, text.length={self.length}; shorten it or train with a "
                    "larger text.length"
                )
            row[: len(data)] = data.astype(np.int32) + 1
        return ids
