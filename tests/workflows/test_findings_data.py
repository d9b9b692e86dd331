"""No training clip of any finding shares a session, a picture, an operand pair or a typed line with what it is scored on."""

import functools
import hashlib
import importlib

import pytest

from neural_computer.data.windows import ClipSource, locate, splits
from neural_computer.evals.tasks import typed_commands
from neural_computer.launch.reproduce import FINDINGS
from neural_computer.workflows.findings import Finding
from tests import needs
from tests.conftest import program

needs.package("tensorflow_datasets", "recording")
needs.package("avt", "recording")

EVERY = [Finding.of(importlib.import_module(f"neural_computer.configs.findings.{name}")) for name in FINDINGS]
ASKED = {(finding.name, arm): finding.arm(arm, "tiny") for finding in EVERY for arm in finding.arms}
DATA = sorted({asked.data for asked in ASKED.values()})


def held_out(of: str) -> str:
    """The training split of a held-out one: SPLIT_test is SPLIT's, all others are `train`'s."""
    return of.removesuffix("_test") if of.endswith("_test") else "train"


def marks(clip) -> dict[str, str]:
    """What two clips must not have in common."""
    keys = [event for event in clip.events if event.kind in ("press", "text")]
    typed = " / ".join(line for _, line in typed_commands(keys))
    operands = sorted("".join(c if c.isdigit() else " " for c in clip.meta.get("expression", "")).split())
    return {
        "session": clip.id,
        "video": hashlib.sha256(clip.frames.tobytes()).hexdigest(),
        **({"pair": ",".join(operands)} if operands else {}),
        **({"line": typed} if typed and "click" not in clip.meta else {}),
    }


@functools.cache
def seen(folder, split: str, frames: int) -> dict[str, set[str]]:
    source = ClipSource(folder, split, frames)
    found: dict[str, set[str]] = {}
    for clip in (source[i] for i in range(len(source))):
        for kind, value in marks(clip).items():
            found.setdefault(kind, set()).add(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA, ids=lambda flags: " ".join(flags)[9:60])
def test_no_training_clip_shares_anything_with_evaluation(data, tmp_path):
    program("launch.prepare_data", *data, f"--out={tmp_path}")
    names = [name for name, *_ in splits(locate(tmp_path))]
    asked = next(asked for asked in ASKED.values() if asked.data == data and "vae" not in asked.config)
    frames = asked.config.data.frames
    scored = {asked.config.evaluation.split, *filter(None, asked.config.evaluation.further_splits.split(","))}
    pairs = [(held_out(name), name) for name in names if name != held_out(name) and name in scored]
    assert pairs
    for train, test in pairs:
        ours, theirs = seen(tmp_path, train, frames), seen(tmp_path, test, frames)
        for kind in theirs:
            assert theirs[kind] and not ours.get(kind, set()) & theirs[kind], (train, test, kind)
