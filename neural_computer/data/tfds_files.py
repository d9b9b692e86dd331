"""The two JSON files by which tfds knows a data set, written without tfds: training and writing episodes do not need it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_computer.data.records import SCALARS, SEQUENCES, TEXTS
from neural_computer.files import write_whole

CLASSES = "tensorflow_datasets.core.features"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def write(directory: Path, name: str, splits: Mapping[str, tuple[Sequence[int], int]]) -> None:
    """Writes features.json and dataset_info.json; `splits` gives the records of every shard, and the bytes, by split."""
    write_whole(directory / "features.json", json.dumps(features(), indent=4))
    info = {
        "fileFormat": "array_record",
        "name": name,
        "splits": [
            {
                "filepathTemplate": TEMPLATE,
                "name": split,
                "numBytes": str(size),
                "shardLengths": [str(count) for count in counts],
            }
            for split, (counts, size) in splits.items()
        ],
        "version": "1.0.0",
    }
    write_whole(directory / "dataset_info.json", json.dumps(info, indent=2))


def features() -> dict[str, Any]:
    """`records.features()` as tfds stores it."""
    text = {"pythonClassName": f"{CLASSES}.text_feature.Text", "text": {}}
    sequence = {
        "pythonClassName": f"{CLASSES}.sequence_feature.Sequence",
        "sequence": {"feature": text, "length": "-1"},
    }
    scalars = {
        name: {
            "pythonClassName": f"{CLASSES}.scalar.Scalar",
            "tensor": {"dtype": dtype, "encoding": "none", "shape": {}},
        }
        for name, dtype in SCALARS.items()
    }
    parts = scalars | dict.fromkeys(TEXTS, text) | dict.fromkeys(SEQUENCES, sequence)
    return {
        "featuresDict": {"features": dict(sorted(parts.items()))},
        "pythonClassName": f"{CLASSES}.features_dict.FeaturesDict",
    }
