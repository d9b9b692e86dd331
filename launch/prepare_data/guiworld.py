"""GUIWorld: clips of a desktop with its mouse and keyboard, on the synthetic desktop or from recordings made elsewhere.

    neural-computer prepare_data --recipe=guiworld --source=minidesk --split=random_slow,random_fast,goal \
        --clips=1000 --size=128 --out=DIR --preview=4
    neural-computer prepare_data --recipe=guiworld --source=import --input=RECORDINGS --size=480x640 --out=DIR
    neural-computer prepare_data --recipe=guiworld --source=rig --split=random_slow --minutes=10 --workers=2 \
        --size=480x640 --out=DIR

A recording is NAME.mp4 with NAME.frames.jsonl and NAME.events.jsonl (ours), or NAME.csv or NAME.json (the public engine's),
and perhaps its caption in NAME.txt; NAME begins with its split (random_slow, random_fast, goal; slow, fast), else it is
random_slow. Of each split about one session in twenty, by the hash of its name, is held out in SPLIT_test.
--split=clicks has pairs of clips that differ in one click alone.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.recording.guiworld.xfce_sessions import RecordingPlan, record_all
from neural_computer.simulators.policies import CLICKS, SPLITS

FLAGS = Flags()
SOURCE = FLAGS.choice("source", "minidesk", ["minidesk", "import", "rig"], "What desktop.")
SPLIT = FLAGS.split("The splits to make; by default random_slow, random_fast and goal.", several=True)
CLIPS = FLAGS.clips()
FRAMES = FLAGS.frames(81)
SIZE = FLAGS.size("128")
SEED = FLAGS.seed()
INPUT = FLAGS.input("With --source=import, the folder of recordings.")
LICENCE = FLAGS.licence()
WORKERS = FLAGS.workers()
BEAM = FLAGS.beam()
MINUTES = FLAGS.number("minutes", 5.0, "With --source=rig, minutes of video a split.", lower_bound=0.1)
AGENT = FLAGS.choice(
    "agent",
    None,
    ["anthropic", "openai"],
    "With --source=rig --split=goal, whose model does the tasks, with VENDOR_API_KEY of the environment; by default "
    "programs of ours do them.",
)
MODEL = FLAGS.string("agent_model", None, "The model's name.")
TREES = FLAGS.integer(
    "trees",
    0,
    "With --source=rig, frames of a task between two lists of what there is to click; 0, none.",
    lower_bound=0,
)
SIDES = 64, 256
"""Least and largest side of the synthetic desktop"""


def settings() -> dict[str, Any]:
    """The settings that the data depend on. Raises ValueError for an unknown split and for flags that exclude one another."""
    from neural_computer.recording.guiworld import build

    names: dict[str, Any] = {"source": SOURCE.value, "size": str(SIZE.value), "frames": FRAMES.value}
    if SOURCE.value != "rig" and (AGENT.value or TREES.value):
        raise ValueError(f"--agent, --trees: are for real desktops; give --source=rig, not {SOURCE.value}")
    if SOURCE.value == "import":
        videos = [video.name for video in build.recordings(folder())]
        return names | {"input": INPUT.value, "licence": LICENCE.value, "videos": videos}
    for split in splits():
        if split not in (*SPLITS, CLICKS):
            raise ValueError(f"--split={split}: must be of {', '.join(SPLITS)}, or {CLICKS}")
        if split == CLICKS and SOURCE.value != "minidesk":
            raise ValueError(f"--split={split}: is made on the synthetic desktop alone, --source=minidesk")
    names |= {"splits": splits(), "seed": SEED.value}
    if SOURCE.value == "minidesk":
        SIZE.value.side(*SIDES)
        return names | {"clips": CLIPS.value}
    return names | agent_settings()


def agent_settings() -> dict[str, Any]:
    """The settings of recordings of real desktops. Raises ValueError for an agent without a model, or with aimless use."""
    names: dict[str, Any] = {"minutes": MINUTES.value, "trees": TREES.value}
    if AGENT.value is None:
        return names
    if not MODEL.value:
        raise ValueError(f"--agent={AGENT.value}: needs --agent_model=NAME, the model that does the tasks")
    if splits() != ["goal"]:
        raise ValueError(f"--agent={AGENT.value}: does tasks; give --split=goal")
    return names | {"agent": AGENT.value, "agent_model": MODEL.value}


def splits() -> list[str]:
    """The splits to make."""
    return list(SPLIT.value or SPLITS)


def folder() -> Path:
    """The folder of recordings. Raises ValueError without one."""
    if not INPUT.value:
        raise ValueError("--input: is missing; give a folder of recordings (NAME.mp4 with a log beside it)")
    return Path(INPUT.value)


def make(out: Path) -> dict[str, Any]:
    """Makes the data and returns the counts."""
    from neural_computer.recording.guiworld import build

    if SOURCE.value == "minidesk":
        side = SIZE.value.side(*SIDES)
        jobs = build.synthetic(splits(), CLIPS.value, frames=FRAMES.value, side=side, seed=SEED.value)
    else:
        rejected, place = {}, folder() if SOURCE.value == "import" else out / "recordings"
        if SOURCE.value == "rig":
            plan = RecordingPlan(MINUTES.value, SEED.value, AGENT.value, MODEL.value or "", TREES.value)
            rejected = record_all(place, splits(), plan, WORKERS.value)
        jobs = build.imported(place, frames=FRAMES.value, size=SIZE.value, licence=LICENCE.value)
        jobs.rejected |= rejected
    return build.build(jobs, out, frames=FRAMES.value, workers=WORKERS.value, beam=BEAM.value)
