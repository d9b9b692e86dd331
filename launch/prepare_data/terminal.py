"""What the recipes of terminal clips share: clip stores recorded by several processes, then drawn by a tfds builder."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from launch.prepare_data.repl import WORKERS
from launch.prepare_data.videos import INPUT, SIZE

PIXELS = flags.DEFINE_integer("font", 13, "Recipes of terminals: the font's size in pixels.", lower_bound=4)
CHUNK = flags.DEFINE_integer("chunk", 8, "Recipes of terminals: recordings in a clip store.", lower_bound=1)
BEAM = flags.DEFINE_boolean("beam", False, "Recipes of terminals: draw with Beam, --workers processes at a time.")


def size() -> tuple[int, int]:
    """(height, width) of the frames. Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not found:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, such as 480x832")
    height, width = map(int, found.groups())
    return height, width


def files(suffix: str, what: str) -> list[Path]:
    """The files of the input folder, and of folders in it, in order. Raises ValueError if there is none."""
    if INPUT.value is None:
        raise ValueError(f"--input: is missing; give a folder of {what} (*{suffix})")
    found = sorted(Path(INPUT.value).rglob(f"*{suffix}"))
    if not found:
        raise ValueError(f"{INPUT.value}: holds no {what} (*{suffix})")
    if len({path.name for path in found}) < len(found):
        twice = Counter(path.name for path in found).most_common(1)[0][0]
        raise ValueError(f"{INPUT.value}: has two files called {twice}; give every recording a name of its own")
    return found


def settings() -> dict[str, Any]:
    """What the data depend on, of what all these recipes share."""
    return {"size": SIZE.value, "font": PIXELS.value}


def make(
    output: Path, maker: Callable[[Sequence[Any], Path], None], items: Sequence[Any], builder: Any
) -> dict[str, Any]:
    """Records clips of the items and draws them; returns the report."""
    from neural_computer.recording.cligen import clip_store
    from neural_computer.recording.workers import make_all

    recordings = output / "recordings"
    paths = make_all(
        items, maker, recordings, workers=WORKERS.value, chunk=CHUNK.value, of=repr(maker), unit="recording"
    )
    for stale in set(recordings.glob("*.npz")) - set(paths):
        stale.unlink()
    rows = [row for path in paths for row in clip_store.report(path)["rows"]]
    rejected = {row["name"]: row["rejected"] for row in rows if "rejected" in row}
    kept = sum(row["clips"] for row in rows)
    if not kept:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(rejected.items())[:3])
        raise ValueError(f"none of the {len(rows)} recordings can be used ({reasons})")
    built = builder(recordings, size=size(), pixels=PIXELS.value, beam=BEAM.value, data_dir=str(output))
    built.download_and_prepare(download_config=pipeline() if BEAM.value else None)
    splits = built.info.splits.values()
    if "test" not in {split.name for split in splits}:
        print(
            f"{output}: split test is empty: the hash of its name puts a recording into test with a chance of "
            f"{built.held_out}; add recordings or rename one; launch.train works without it, launch.evaluate needs it"
        )
    return {
        "kept": kept,
        "rejected": rejected,
        "recordings": len(rows),
        "splits": {split.name: split.num_examples for split in splits},
        "repaired": {row["name"]: row["repairs"] for row in rows if row.get("repairs")},
        "frozen clips dropped": sum(row.get("frozen", 0) for row in rows),
        "masked strings": dict(sum((Counter(row.get("masked", {})) for row in rows), Counter())),
        "captions left to the template": sum(row.get("template_captions", 0) for row in rows),
        "commands not found": dict(Counter(name for row in rows for name in row.get("not_found", ()))),
        "bytes a clip": round(sum(split.num_bytes for split in splits) / kept),
        **counted(paths),
    }


def counted(paths: Sequence[Path]) -> dict[str, Any]:
    """Hours, mean words by tier and licences of the clips in some files."""
    from neural_computer.recording.cligen import clip_store

    seconds, words, licences, clips = 0.0, Counter[str](), Counter[str](), Counter[str]()
    for path in paths:
        for each in clip_store.load(path):
            seconds += len(each.clip.index) / each.clip.fps
            licences[each.meta["licence"]] += 1
            for tier, text in each.captions.items():
                words[tier] += len(text.split())
                clips[tier] += 1
    return {
        "hours": round(seconds / 3600, 4),
        "words a caption": {tier: round(words[tier] / clips[tier], 1) for tier in words},
        "licences": dict(licences),
    }


def pipeline() -> Any:
    """Beam's own runner on this machine, with --workers processes."""
    import apache_beam as beam
    import tensorflow_datasets as tfds

    options = beam.options.pipeline_options.PipelineOptions(
        direct_num_workers=WORKERS.value,
        direct_running_mode="multi_processing" if WORKERS.value > 1 else "in_memory",
    )
    return tfds.download.DownloadConfig(beam_options=options)
