"""The datasets this project makes, as tfds builders that write array_record and need no TensorFlow."""

from pathlib import Path

import tensorflow_datasets as tfds

from neural_computer.data import examples
from neural_computer.data.cli import repl


class PythonRepl(tfds.core.GeneratorBasedBuilder):
    """Python sessions that add two numbers, from the recordings in a folder; `split` is by hash of the operand pair."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, recordings: str | Path, **kwargs):
        self.recordings = Path(recordings)
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="Python sessions recorded in a pseudo-terminal, one key a frame, one addition a session.",
            features=examples.features(),
            license="CC0-1.0",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for episode in repl.episodes(self.recordings, split):
            for number, record in enumerate(examples.records(episode, repl.FRAMES, 1)):
                yield f"{episode.id}/{number}", record
