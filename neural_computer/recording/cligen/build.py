"""A data set of terminal clips: clip stores recorded by several processes, then drawn by a tfds builder."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neural_computer.recording.cligen import clip_store
from neural_computer.recording.workers import beam_runner, make_all


def files(folder: Path, suffix: str, kind: str) -> list[Path]:
    """Files of a folder, and of folders in it, in order. Raises ValueError if there is none, or two have one name."""
    paths = sorted(folder.rglob(f"*{suffix}"))
    if not paths:
        raise ValueError(f"{folder}: holds no {kind} (*{suffix})")
    name, count = Counter(path.name for path in paths).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{folder}: has two files called {name}; give every recording a name of its own")
    return paths


def build(
    items: Sequence[Any],
    maker: Callable[[Sequence[Any], Path], None],
    builder: Any,
    output: Path,
    *,
    size: tuple[int, int],
    pixels: int,
    chunk: int,
    workers: int,
    beam: bool = False,
    test_share: float = 0.1,
) -> dict[str, Any]:
    """Records the items' clips, `chunk` items a clip store, draws them at `size` (height, width) with a font of `pixels`
    pixels, and returns the counts.

    Items without a split of their own are split by name, about a `test_share` to test. An empty split test is printed,
    since evaluation will miss it. Raises ValueError if no item gives a clip, or none for split train.
    """
    recordings = output / "recordings"
    paths = make_all(items, maker, recordings, workers=workers, chunk=chunk, of=repr(maker), unit="recording")
    for stale in set(recordings.glob("*.npz")) - set(paths):
        stale.unlink()
    rows = [row for path in paths for row in clip_store.report(path)["rows"]]
    rejected = {row["name"]: row["rejected"] for row in rows if "rejected" in row}
    kept = sum(row["clips"] for row in rows)
    if not kept:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(rejected.items())[:3])
        raise ValueError(f"none of the {len(rows)} recordings can be used ({reasons})")
    tfds = builder(recordings, size=tuple(size), pixels=pixels, held_out=test_share, beam=beam, data_dir=str(output))
    tfds.download_and_prepare(download_config=beam_runner(workers) if beam else None)
    splits = tfds.info.splits.values()
    if "test" not in {split.name for split in splits}:
        print(
            f"{output}: split test is empty: the hash of its name puts a recording there with a chance of "
            f"--test_share={test_share}; add recordings, rename one, or give a larger --test_share; training works without "
            "it, evaluation needs it"
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
        **counts(paths),
    }


def counts(paths: Sequence[Path]) -> dict[str, Any]:
    """Hours, mean words by tier and licences of the clips in some clip stores."""
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
