"""Actions of a clip as a batch holds them: flags, slots, typed texts, mouse positions. numpy only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from neural_computer.actions.schema import FLAGS, SLOTS
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.types import Actions, Clip, Event, Meta, TokenIds

Texts = TokenIds | Float[np.ndarray, "*b u d"]


@runtime_checkable
class Tokenizer(Protocol):
    """Texts to token ids (n, length), 0 for padding."""

    @property
    def length(self) -> int: ...

    def __call__(self, texts: Sequence[str]) -> Int[np.ndarray, "n l"]: ...


@dataclass(frozen=True)
class ActionFeaturizer:
    """The actions of a clip, from its log of events."""

    tokenizer: Tokenizer
    """Of typed texts, which are short: what is typed in one frame"""
    texts: int
    """Most different texts in a clip, with the empty one"""
    typed: bool = True
    """Whether typed texts are read at all; flags alone (actions.schema "raw") say what is typed without them"""

    def __call__(self, clip: Clip) -> Actions:
        """Actions of a clip, without a batch axis; empty and not valid if its episode has neither events nor a cursor.

        Raises ValueError, naming the clip and config.actions, for texts that do not fit.
        """
        frames = len(clip.frames)
        if not (clip.logged or clip.events or clip.cursor is not None):
            return empty(frames, TokenIds(np.zeros((self.texts, self.tokenizer.length), np.int32)))
        return self.of(clip.id, clip.events, clip.cursor, frames, clip.fps, clip.frames.shape[1:3])

    def of(
        self,
        name: str,
        events: Iterable[Event],
        cursor: Float[np.ndarray, "t 2"] | None,
        frames: int,
        fps: float,
        size: tuple[int, int],
    ) -> Actions:
        """Actions of `frames` frames of `size` (height, width); events and cursor are in their pixels."""
        log = read(events, (size[1], size[0]))
        slots, texts, _ = schema.meta(log, frames, fps)
        if not self.typed:
            slots, texts = slots._replace(text=np.zeros_like(slots.text)), ("",)
        if len(texts) > self.texts:
            raise ValueError(
                f"{name}: {len(texts) - 1} different texts are typed in it, config.actions.texts={self.texts} leaves room for "
                f"{self.texts - 1}; set it to {len(texts)}"
            )
        try:
            ids = self.tokenizer(texts)
        except ValueError as error:
            raise ValueError(f"{name}: {error} (config.actions.text_length)") from error
        return Actions(
            raw=schema.raw(log, frames, fps),
            meta=slots,
            texts=TokenIds(_padded(ids, (self.texts, ids.shape[1]))),
            mouse=schema.mouse(log, frames, fps) if cursor is None else np.asarray(cursor, np.float32),
            valid=np.asarray(True),
        )


def empty(frames: int, texts: Texts) -> Actions:
    """Actions of a clip without a log, without a batch axis: no flags, empty slots, mouse unknown, not valid."""
    slots = np.zeros((frames, SLOTS), np.int32)
    return Actions(
        raw=np.zeros((frames, len(FLAGS)), np.float32),
        meta=Meta(*(slots for _ in Meta._fields)),
        texts=texts,
        mouse=np.full((frames, 2), np.nan, np.float32),
        valid=np.asarray(False),
    )


def stacked(rows: Sequence[Any]) -> Any:
    """Arrays, or NamedTuples of arrays, with a leading axis; None for Nones.

    Among Actions, None becomes empty ones, and texts are padded to the largest number and length. Raises ValueError where
    other parts are None in some rows alone.
    """
    whole = [row for row in rows if row is not None]
    if not whole:
        return None
    if isinstance(whole[0], Actions):
        rows = _alike(rows, whole)
    elif len(whole) < len(rows):
        raise ValueError(
            f"{len(rows) - len(whole)} of {len(rows)} clips of a batch lack a part that the others have; take sources that "
            "were encoded for one config"
        )
    if isinstance(whole[0], tuple):
        return type(whole[0])(*(stacked(part) for part in zip(*rows, strict=True)))
    return np.stack(rows)


def _alike(rows: Sequence[Actions | None], whole: Sequence[Actions]) -> list[Actions]:
    """Rows with empty actions in place of None, and texts of one shape."""
    arrays = [_array(row.texts) for row in whole]
    kinds = {
        "token ids" if isinstance(row.texts, TokenIds) else f"features of width {row.texts.shape[1]}" for row in whole
    }
    if len(kinds) > 1:
        raise ValueError(
            f"actions.texts: are {' in some clips of a batch, '.join(sorted(kinds))} in others; take sources that were encoded "
            "for one config"
        )
    shape = (max(x.shape[0] for x in arrays), max(x.shape[1] for x in arrays))
    blank = empty(len(whole[0].mouse), _like(whole[0].texts, np.zeros(shape, arrays[0].dtype)))
    return [
        blank if row is None else row._replace(texts=_like(row.texts, _padded(_array(row.texts), shape)))
        for row in rows
    ]


def _array(texts: Texts) -> np.ndarray:
    return texts.ids if isinstance(texts, TokenIds) else texts


def _like(texts: Texts, array: np.ndarray) -> Texts:
    """`array` as token ids or as features, as `texts` are."""
    return TokenIds(array) if isinstance(texts, TokenIds) else array


def _padded(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """x with zeros appended up to `shape`."""
    return np.pad(x, [(0, size - own) for size, own in zip(shape, x.shape, strict=True)])


def chunked(actions: Actions, frames: int, chunks: int) -> Actions:
    """Actions (b, t, ...) of a long video with a leading axis of chunks of `frames` frames each.

    Neighbouring chunks share one frame. Its actions stay in the earlier chunk and are cleared in the later one, as in
    training. Raises ValueError for a video with too few frames.
    """
    length = actions.mouse.shape[1]
    if length < chunks * (frames - 1) + 1:
        raise ValueError(
            f"chunks={chunks}: need the actions of {chunks * (frames - 1) + 1} frames, there are {length}; ask for "
            f"{max(1, (length - 1) // (frames - 1))}"
        )

    def cut(x: np.ndarray, clear: bool = True) -> np.ndarray:
        parts = np.stack([x[:, k * (frames - 1) :][:, :frames] for k in range(chunks)])
        if clear:
            parts[1:, :, 0] = 0
        return parts

    return Actions(
        raw=cut(actions.raw),
        meta=Meta(*(cut(x) for x in actions.meta)),
        texts=_like(actions.texts, np.stack([_array(actions.texts)] * chunks)),
        mouse=cut(actions.mouse, clear=False),
        valid=np.stack([actions.valid] * chunks),
    )
