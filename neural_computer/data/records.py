"""Episodes as records: an episode becomes `tf.train.Example`s, and a record gives clips.

The layout is a tfds FeaturesDict of scalars, texts and sequences of texts, so that tfds reads it too. The protobuf message is
described here, so that reading and writing need neither tfds nor TensorFlow.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neural_computer import media
from neural_computer.errors import first_line
from neural_computer.types import Clip, Episode, Event

T = TypeVar("T")

RECORD_FRAMES = 160
"""About the most frames of a record, which a reader fetches for one clip."""

SCALARS = {"fps": "float32", "start": "int64", "owned": "int64"}
TEXTS = ("id", "captions", "events", "cursor", "meta")
SEQUENCES = ("frames", "cells")
"""frames are PNGs, empty bytes for a frame equal to the one before; cells are screens; captions, events and meta are JSON,
events null in an episode without any; cursor is raw little-endian float32 (t, 2), or empty. `start` is the record's first
frame in its episode. Clips that begin at its first `owned` frames belong to it, later ones to the next record.

PNGs against a video codec with key frames: for five terminals at 480x832, 160 frames each, they take .4 to 2.1 times the
space of lossless x264 with a key frame every 16 frames (1.2 in sum), and a clip of 81 frames decodes 1 to 20 times as fast,
since most frames are repeats. For a desktop's video they take 4.3 times as much and decode in .65 of the time.
"""


def features() -> Any:
    """The layout as tfds features."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {name: tfds.features.Scalar(np.dtype(kind)) for name, kind in SCALARS.items()}
        | {name: tfds.features.Text() for name in TEXTS}
        | {name: tfds.features.Sequence(tfds.features.Text()) for name in SEQUENCES}
    )


def records(episode: Episode, window: int, stride: int) -> Iterator[dict[str, Any]]:
    """Yields the records of an episode. They overlap by window - stride frames: every clip of at most `window` frames that
    begins at a multiple of `stride` is complete in the one record that owns its first frame.

    Raises ValueError for an episode whose parts do not fit together.
    """
    check(episode)
    total = len(episode.frames)
    limit = max(RECORD_FRAMES, window)
    step = (limit - (window - stride)) // stride * stride
    start = 0
    while True:
        last = start + limit >= total
        stop = total if last else start + step + window - stride
        yield _record(episode, start, stop, owned=total - start if last else step)
        if last:
            return
        start += step


def _record(episode: Episode, start: int, stop: int, owned: int) -> dict[str, Any]:
    span = slice(start, stop)
    begin, end = start / episode.fps, stop / episode.fps
    events = [[round(e.time - begin, 6), *e[1:]] for e in episode.events if begin <= e.time < end]
    stored = [[None if x != x else x for x in event] for event in events] if episode.events else None
    return {
        "id": episode.id,
        "fps": np.float32(episode.fps),
        "start": start,
        "owned": owned,
        "captions": json.dumps(dict(episode.captions)),
        "events": json.dumps(stored),
        "cursor": b"" if episode.cursor is None else episode.cursor[span].astype("<f4").tobytes(),
        "meta": json.dumps(dict(episode.meta)),
        "frames": list(_encoded(episode.frames[span])),
        "cells": [] if episode.cells is None else list(episode.cells[span]),
    }


def _encoded(frames: np.ndarray) -> Iterator[bytes]:
    """Yields a PNG a frame; empty bytes for a frame equal to the one before."""
    for number, frame in enumerate(frames):
        same = number and (frame == frames[number - 1]).all()
        yield b"" if same else media.png(frame, level=1)


def _decoded(frames: Any, first: int, length: int) -> np.ndarray:
    """`length` frames from frame `first`, from the last stored frame up to it onwards."""
    begin = next(i for i in range(first, -1, -1) if frames[i])
    video: list[np.ndarray] = []
    for data in frames[begin : first + length]:
        video.append(media.from_png(data) if data else video[-1])
    return np.stack(video[first - begin :])


def check(episode: Episode) -> None:
    """Raises ValueError, naming the episode and the rule, if its parts do not fit together."""

    def reject(rule: str) -> None:
        raise ValueError(f"episode {episode.id!r}: {rule}")

    frames = episode.frames
    if not episode.id:
        reject("id must not be empty")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        reject(f"frames must be uint8 (t, h, w, 3) with t >= 1; they are {frames.dtype} {frames.shape}")
    if not episode.fps > 0:
        reject(f"fps={episode.fps}: must be positive")
    if episode.cells is not None and len(episode.cells) != len(frames):
        reject(f"has {len(frames)} frames and {len(episode.cells)} cells; give one screen of text a frame")
    if episode.cursor is not None and episode.cursor.shape != (len(frames), 2):
        reject(f"cursor must be ({len(frames)}, 2), one (x, y) a frame; it is {episode.cursor.shape}")
    late = [e for e in episode.events if not 0 <= e.time <= len(frames) / episode.fps]
    if late:
        reject(f"event {late[0]} is outside the video's {len(frames) / episode.fps:.3f} s")


# Records to bytes and back


@cache
def _example() -> Any:
    """The class of `tf.train.Example`, in a descriptor pool of its own, apart from TensorFlow's."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="neural_computer/example.proto", package="nc", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, int, int, str | None]) -> Any:
        new = file.message_type.add(name=name)
        for field, number, kind, label, type_name in fields:
            new.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)
        return new

    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    message("BytesList", ("value", 1, kinds.TYPE_BYTES, many, None))
    message("FloatList", ("value", 1, kinds.TYPE_FLOAT, many, None))
    message("Int64List", ("value", 1, kinds.TYPE_INT64, many, None))
    lists = (("bytes_list", 1, "BytesList"), ("float_list", 2, "FloatList"), ("int64_list", 3, "Int64List"))
    feature = message("Feature", *((n, i, kinds.TYPE_MESSAGE, one, f".nc.{t}") for n, i, t in lists))
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    table = message("Features", ("feature", 1, kinds.TYPE_MESSAGE, many, ".nc.Features.FeatureEntry"))
    entry = table.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=one)
    entry.field.add(name="value", number=2, type=kinds.TYPE_MESSAGE, label=one, type_name=".nc.Feature")
    message("Example", ("features", 1, kinds.TYPE_MESSAGE, one, ".nc.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nc.Example"))


def to_bytes(record: dict[str, Any]) -> bytes:
    """A record as a serialised `tf.train.Example`."""
    example = _example()()
    table = example.features.feature

    def raw(value: str | bytes) -> bytes:
        return value.encode() if isinstance(value, str) else value

    for name, kind in SCALARS.items():
        values = table[name].float_list if kind == "float32" else table[name].int64_list
        values.value.append(record[name])
    for name in TEXTS:
        table[name].bytes_list.value.append(raw(record[name]))
    for name in SEQUENCES:
        table[name].bytes_list.value.extend(raw(value) for value in record[name])
    return example.SerializeToString(deterministic=True)


class Record:
    """A parsed record; frames are decoded for a clip of it."""

    def __init__(self, data: bytes):
        """Raises google.protobuf's DecodeError or ValueError for other bytes."""
        self._table = _example().FromString(data).features.feature
        absent = [name for name in (*SCALARS, *TEXTS, *SEQUENCES) if name not in self._table and name != "cells"]
        if absent:
            raise ValueError(f"has no feature {absent[0]!r}; episodes are written by EpisodeWriter")
        self.start = self._table["start"].int64_list.value[0]
        self.owned = self._table["owned"].int64_list.value[0]
        self.frames = len(self._table["frames"].bytes_list.value)

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the whole episode."""
        return json.loads(self._text("meta"))

    def clip(self, start: int, length: int) -> Clip:
        """The clip of `length` frames from frame `start` of the episode."""
        first = start - self.start
        span = slice(first, first + length)
        cells = tuple(screen.decode() for screen in self._table["cells"].bytes_list.value[span])
        fps = self._table["fps"].float_list.value[0]
        cursor = np.frombuffer(self._text("cursor"), "<f4").reshape(-1, 2)
        begin, end = first / fps, (first + length) / fps
        unknown: Any = float("nan")
        stored = json.loads(self._text("events"))
        events = [Event(*(unknown if x is None else x for x in event)) for event in stored or ()]
        return Clip(
            id=self._text("id").decode(),
            frames=_decoded(self._table["frames"].bytes_list.value, first, length),
            fps=fps,
            captions=json.loads(self._text("captions")),
            cells=cells or None,
            events=tuple(e._replace(time=e.time - begin) for e in events if begin <= e.time < end),
            cursor=cursor[span] if len(cursor) else None,
            meta=self.meta,
            start=start,
            logged=stored is not None,
        )

    def _text(self, name: str) -> bytes:
        return self._table[name].bytes_list.value[0]


class Reader:
    """Random access to the records of array_record files, which are opened at first use. A pickled copy opens them anew."""

    def __init__(self, files: Sequence[Path], way_out: str = "write the dataset anew"):
        """`way_out` ends the message for a damaged file: "copy it again, or ..."."""
        self.files, self.way_out = list(files), way_out
        self._open: dict[int, Any] = {}

    def read(self, file: int, number: int, parse: Callable[[bytes], T]) -> T:
        """Record `number` of file `file`, parsed. Raises ValueError, naming both, if it cannot be read or parsed."""
        try:
            return parse(self._file(file).read([number])[0])
        except Exception as error:
            raise ValueError(
                f"{self.files[file]}: record {number} cannot be read ({first_line(error)}); the file is damaged or cut off: "
                f"copy it again, or {self.way_out}"
            ) from error

    def count(self, file: int) -> int:
        """Number of records in a file; 0 if it is no array_record file."""
        return self._file(file).num_records()

    def _file(self, file: int) -> Any:
        from array_record.python.array_record_module import ArrayRecordReader

        if file not in self._open:
            self._open[file] = ArrayRecordReader(str(self.files[file]), "readahead_buffer_size:0")
        return self._open[file]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}
