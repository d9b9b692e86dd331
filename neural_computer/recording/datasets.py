"""tfds builders of the datasets that are recorded here; they write array_record and need no TensorFlow.

array_record cannot write to object stores: build in a local or mounted folder and copy it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from neural_computer.data import records, splits
from neural_computer.recording.cligen import clip_store
from neural_computer.screens.terminal import Atlas
from neural_computer.screens.themes import DEFAULT, MOCHA, Theme


class Sessions(tfds.core.GeneratorBasedBuilder):
    """Short sessions, a key a frame or pasted. `sessions` has the names of its `splits` and yields the episodes of one."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = ""

    def __init__(self, sessions: Any, **kwargs: Any):
        self.sessions = sessions
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=self.DESCRIPTION, features=records.features(), license="CC0-1.0"
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in self.sessions.splits}

    def _generate_examples(self, split: str) -> Any:
        for episode in self.sessions(split):
            for number, record in enumerate(records.records(episode, len(episode.frames), 1)):
                yield f"{episode.id}/{number}", record


class PythonRepl(Sessions):
    DESCRIPTION = "Python sessions as a pseudo-terminal shows them, one expression a session."


class NumberFiles(Sessions):
    DESCRIPTION = "Sessions of a bash in a pseudo-terminal that print a file of numbers, one a session."


class Cligen(tfds.core.GeneratorBasedBuilder):
    """Terminal clips of the clip stores in a folder, drawn at `size` (height, width) with a font of `pixels` pixels.

    A recording whose row names a split goes there with all its clips; the others are split by their names, about a
    `held_out` share to test. With `beam`, clip stores are drawn by a Beam pipeline, else one after another in this
    process; the records and their order are the same. Raises ValueError if no recording is left for split train.
    """

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = ""
    THEME = DEFAULT
    """Theme whose cursor colour is drawn"""

    def __init__(
        self,
        recordings: str | Path,
        size: tuple[int, int] = (480, 832),
        pixels: int = 13,
        held_out: float = 0.1,
        beam: bool = False,
        **kwargs: Any,
    ):
        self.files = sorted(Path(recordings).glob("*.npz"))
        self.size, self.pixels, self.held_out, self.beam = size, pixels, held_out, beam
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(description=self.DESCRIPTION, features=records.features())

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        rows = [row for file in self.files for row in clip_store.report(file)["rows"] if row["clips"]]
        split_of = {row["name"]: row.get("split") or splits.of(row["name"], self.held_out) for row in rows}
        names = sorted(set(split_of.values()), reverse=True)
        if names and "train" not in names:
            raise ValueError(
                f"split train is empty: the hash of its name puts a recording into test with a chance of {self.held_out}, "
                f"and all of the {len(split_of)} usable ones fell there; add recordings, rename one, or give a smaller "
                "held_out (--test_share)"
            )
        return {name: self._generate_examples(split_of, name) for name in names}

    def _generate_examples(self, split_of: dict[str, str], split: str) -> Any:
        wanted = frozenset(name for name, own in split_of.items() if own == split)
        if not self.beam:
            return draw(self.files, wanted, self.size, self.pixels, self.THEME)
        beam = tfds.core.lazy_imports.apache_beam
        return beam.Create([[file] for file in self.files]) | beam.FlatMap(
            draw, wanted, self.size, self.pixels, self.THEME
        )


def draw(
    files: Iterable[Path], wanted: frozenset[str], size: tuple[int, int], pixels: int, theme: Theme
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, record) of those clips in some clip stores whose recordings are `wanted`, drawn at `size`."""
    atlas = Atlas(pixels, (round(pixels * 16 / 13), round(pixels * 8 / 13)), theme)
    for file in files:
        for clip in clip_store.load(file):
            if clip.meta["source"]["recording"] in wanted:
                episode = clip_store.episode(clip, atlas, size)
                for number, record in enumerate(records.records(episode, len(episode.frames), 1)):
                    yield f"{episode.id}/{number}", record


class CligenGeneral(Cligen):
    DESCRIPTION = "Clips of terminal recordings that people made and published, after the paper's CLIGen (General)."


class CligenClean(Cligen):
    THEME = MOCHA
    DESCRIPTION = "Terminals typed to by scripts, one font, theme and size, after the paper's CLIGen (Clean)."


class Guiworld(tfds.core.GeneratorBasedBuilder):
    """Desktop clips: `jobs` maps a split to its jobs, and `clips_of(job)` yields a job's episodes."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, jobs: Mapping[str, Sequence[Any]], clips_of: Any, beam: bool = False, **kwargs: Any):
        self.jobs, self.clips_of, self.beam = jobs, clips_of, beam
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        description = "A desktop, its mouse and its keyboard, after the paper's GUIWorld."
        return self.dataset_info_from_configs(description=description, features=records.features())

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(jobs) for split, jobs in self.jobs.items()}

    def _generate_examples(self, jobs: Sequence[Any]) -> Any:
        if not self.beam:
            return recorded(jobs, self.clips_of)
        beam = tfds.core.lazy_imports.apache_beam
        return beam.Create([[job] for job in jobs]) | beam.FlatMap(recorded, self.clips_of)


def recorded(jobs: Iterable[Any], clips_of: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, record) of the clips that `clips_of` yields for some jobs."""
    for job in jobs:
        for episode in clips_of(job):
            for number, record in enumerate(records.records(episode, len(episode.frames), 1)):
                yield f"{episode.id}/{number}", record
