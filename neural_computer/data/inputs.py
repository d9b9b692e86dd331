"""Mouse and keyboard of a video as a batch has them: flags, slots, typed texts, places. numpy only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.types import Actions, Clip, Event, TokenIds


@runtime_checkable
class Tokenizer(Protocol):
    """Texts to token ids (n, length)."""

    @property
    def length(self) -> int: ...

    def __call__(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class ActionFeaturizer:
    """The actions of a video, from its log of events. At most `texts` different texts are typed in a video, frame by frame."""

    tokenizer: Tokenizer
    """Of the typed texts: what is typed in one frame is short."""
    texts: int

    def __call__(self, window: Clip) -> Actions:
        """A window's actions, without a batch axis.

        Raises ValueError, naming the window and config.actions, where the texts do not fit.
        """
        return self.of(
            window.id, window.events, window.cursor, len(window.frames), window.fps, window.frames.shape[1:3]
        )

    def of(
        self,
        name: str,
        events: Iterable[Event],
        cursor: np.ndarray | None,
        frames: int,
        fps: float,
        size: tuple[int, int],
    ) -> Actions:
        """The actions of so many frames of `size` (height, width), in whose pixels events and cursor are."""
        log = read(events, (size[1], size[0]))
        slots, texts, _ = schema.meta(log, frames, fps)
        if len(texts) > self.texts:
            raise ValueError(
                f"{name}: {len(texts) - 1} different texts are typed in it, config.actions.texts={self.texts} leaves room for "
                f"{self.texts - 1}; set it to {len(texts)}"
            )
        try:
            ids = self.tokenizer(texts)
        except ValueError as error:
            raise ValueError(f"{name}: {error} (config.actions.text_length)") from error
        padding = np.zeros((self.texts - len(ids), ids.shape[1]), ids.dtype)
        mouse = schema.mouse(log, frames, fps) if cursor is None else np.asarray(cursor, np.float32)
        return Actions(schema.raw(log, frames, fps), slots, TokenIds(np.concatenate([ids, padding])), mouse)


def stacked(rows: Sequence[Any]) -> Any:
    """Arrays, or NamedTuples of arrays, with a leading axis; None for Nones."""
    if rows[0] is None:
        return None
    if isinstance(rows[0], tuple):
        return type(rows[0])(*(stacked(part) for part in zip(*rows, strict=True)))
    return np.stack(rows)


def chunked(actions: Actions, frames: int, chunks: int) -> Actions:
    """Actions (b, t, ...) of a long video with a leading axis of chunks of `frames` frames each.

    A chunk begins with the frame that the one before ended with, what was done in it left out, as in training windows.
    Raises ValueError where the video has too few frames.
    """
    length = actions.mouse.shape[1]
    if length < chunks * (frames - 1) + 1:
        raise ValueError(
            f"chunks={chunks}: need the actions of {chunks * (frames - 1) + 1} frames, there are {length}; ask for "
            f"{max(1, (length - 1) // (frames - 1))}"
        )

    def cut(x: np.ndarray, clean: bool = True) -> np.ndarray:
        parts = np.stack([x[:, k * (frames - 1) :][:, :frames] for k in range(chunks)])
        if clean:
            parts[1:, :, 0] = 0
        return parts

    return Actions(
        raw=cut(actions.raw),
        meta=type(actions.meta)(*(cut(x) for x in actions.meta)),
        texts=_repeated(actions.texts, chunks),
        mouse=cut(actions.mouse, clean=False),
    )


def _repeated(texts: TokenIds | np.ndarray, chunks: int) -> TokenIds | np.ndarray:
    if isinstance(texts, TokenIds):
        return TokenIds(np.stack([texts.ids] * chunks))
    return np.stack([texts] * chunks)
