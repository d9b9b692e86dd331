"""Captions to token ids, in numpy."""

import html
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class ByteTokenizer:
    """UTF-8 bytes plus one, padded with 0 to `length`. Raises ValueError for a longer caption."""

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


@dataclass(frozen=True)
class UMT5Tokenizer:
    """Token ids of UMT5 of cleaned captions, each ended by </s>, padded with 0 to `length`.

    A longer caption is rejected, or with `truncate` cut to `length` tokens that end with </s>, as in Wan2.1.
    """

    name: str
    """Folder of the tokenizer's files, or name on the Hugging Face hub: google/umt5-xxl"""
    length: int = 512
    truncate: bool = False

    def __call__(self, texts: Sequence[str]) -> Int[np.ndarray, "n l"]:
        ids = np.zeros((len(texts), self.length), np.int32)
        tokenizer = _load(self.name)
        for row, text in zip(ids, texts, strict=True):
            tokens = tokenizer(clean(text), truncation=self.truncate, max_length=self.length)["input_ids"]
            if len(tokens) > self.length:
                raise ValueError(
                    f"caption {text!r}: has {len(tokens)} tokens, text.length={self.length}; shorten it, or cut it with "
                    "text.truncate=True"
                )
            row[: len(tokens)] = tokens
        return ids


def clean(text: str) -> str:
    """`text` as Wan2.1 cleans it for UMT5: ftfy's repairs, HTML entities resolved twice, every run of whitespace one space.

    ftfy is required: it straightens quotes, narrows wide punctuation and drops terminal escapes, so that without it one
    caption would have other features. Raises ModuleNotFoundError without it.
    """
    try:
        import ftfy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "captions are cleaned for UMT5 with ftfy, which is not installed: pip install ftfy"
        ) from error
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


_LOCK = threading.Lock()
"""transformers imports its modules lazily, which is not thread-safe: one of two threads would miss some."""


def _load(name: str) -> Any:
    """The tokenizer of a folder or of the hub. Raises ValueError, naming it, for none and for another model's."""
    with _LOCK:
        return _load_locked(name)


@cache
def _load_locked(name: str) -> Any:
    way_out = "put the tokenizer files of google/umt5-xxl (tokenizer.json, tokenizer_config.json) there"
    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or len(folder.parts) != 2 or name.startswith(".")):
        raise ValueError(f"text.tokenizer={name!r}: no such folder; {way_out}, or give a name of the hub")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"text.tokenizer={name!r}: holds no tokenizer that can be loaded ({error}); {way_out}"
        ) from error
    if tokenizer.pad_token_id != 0:
        raise ValueError(f"text.tokenizer={name!r}: pads with id {tokenizer.pad_token_id}, UMT5 with 0; {way_out}")
    return tokenizer
