"""The datasets this project makes, as tfds builders that write array_record and need no TensorFlow.

Records are written to a local or mounted folder: array_record cannot write to object stores, so build there and copy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from neural_computer.data import records
from neural_computer.recording.cligen import clip_store
from neural_computer.recording.terminal import repl
from neural_computer.screens.terminal import Atlas
from neural_computer.screens.themes import DEFAULT, MOCHA, Theme


class PythonRepl(tfds.core.GeneratorBasedBuilder):
    """Python sessions that add two numbers, from the recordings in a folder; `split` is by hash of the operand pair."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, recordings: str | Path, **kwargs):
        self.recordings = Path(recordings)
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="Python sessions recorded in a pseudo-terminal, one key a frame, one addition a session.",
            features=records.features(),
            license="CC0-1.0",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for episode in repl.episodes(self.recordings, split):
            for number, record in enumerate(records.records(episode, repl.FRAMES, 1)):
                yield f"{episode.id}/{number}", record


class Cligen(tfds.core.GeneratorBasedBuilder):
    """Terminal clips drawn from a folder of footage at `size` (height, width), in the font's `pixels`.

    A clip whose meta names no split goes to test with its whole recording if that is among the `held_out` share with the
    smallest hashes. With `beam`, chunks of footage are drawn by a Beam pipeline, else one after another in this process;
    the records and their order are the same.
    """

    VERSION = tfds.core.Version("1.0.0")
    TOLD = ""
    THEME = DEFAULT
    """Whose cursor is drawn"""

    def __init__(
        self,
        recordings: str | Path,
        size: tuple[int, int] = (480, 832),
        pixels: int = 13,
        held_out: float = 0.05,
        beam: bool = False,
        **kwargs: Any,
    ):
        self.files = sorted(Path(recordings).glob("*.npz"))
        self.size, self.pixels, self.held_out, self.beam = size, pixels, held_out, beam
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(description=self.TOLD, features=records.features())

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        rows = [row for file in self.files for row in clip_store.report(file)["rows"] if row["clips"]]
        free = sorted((row["name"] for row in rows if "split" not in row), key=clip_store.rank)
        test = set(free[: max(1, round(self.held_out * len(free)))] if len(free) > 1 else ())
        splits = {row["name"]: row.get("split") or ("test" if row["name"] in test else "train") for row in rows}
        return {split: self._generate_examples(splits, split) for split in sorted(set(splits.values()), reverse=True)}

    def _generate_examples(self, splits: dict[str, str], split: str) -> Any:
        wanted = frozenset(name for name, own in splits.items() if own == split)
        if not self.beam:
            return draw(self.files, wanted, self.size, self.pixels, self.THEME)
        beam = tfds.core.lazy_imports.apache_beam
        return beam.Create([[file] for file in self.files]) | beam.FlatMap(
            draw, wanted, self.size, self.pixels, self.THEME
        )


def draw(
    files: Iterable[Path], wanted: frozenset[str], size: tuple[int, int], pixels: int, theme: Theme
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, record) of the clips in some files whose recordings are wanted."""
    atlas = Atlas(pixels, (round(pixels * 16 / 13), round(pixels * 8 / 13)), theme)
    for file in files:
        for each in clip_store.load(file):
            if each.meta["source"]["recording"] in wanted:
                episode = clip_store.drawn(each, atlas, size)
                for number, record in enumerate(records.records(episode, len(episode.frames), 1)):
                    yield f"{episode.id}/{number}", record


class CligenGeneral(Cligen):
    TOLD = "Clips of terminal recordings that people made and published, after the paper's CLIGen (General)."


class CligenClean(Cligen):
    THEME = MOCHA
    TOLD = "Terminals typed to by scripts, one font, theme and size, after the paper's CLIGen (Clean)."


class Guiworld(tfds.core.GeneratorBasedBuilder):
    """Desktop clips of `frames` frames, by split: `jobs` maps a split to what `clips_of` makes episodes of."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, jobs: Mapping[str, Sequence[Any]], clips_of: Any, beam: bool = False, **kwargs: Any):
        self.jobs, self.clips_of, self.beam = jobs, clips_of, beam
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        told = "A desktop, its mouse and its keyboard, after the paper's GUIWorld."
        return self.dataset_info_from_configs(description=told, features=records.features())

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(jobs) for split, jobs in self.jobs.items()}

    def _generate_examples(self, jobs: Sequence[Any]) -> Any:
        if not self.beam:
            return recorded(jobs, self.clips_of)
        beam = tfds.core.lazy_imports.apache_beam
        return beam.Create([[job] for job in jobs]) | beam.FlatMap(recorded, self.clips_of)


def recorded(jobs: Iterable[Any], clips_of: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, record) of the clips of some jobs."""
    for job in jobs:
        for episode in clips_of(job):
            for number, record in enumerate(records.records(episode, len(episode.frames), 1)):
                yield f"{episode.id}/{number}", record
