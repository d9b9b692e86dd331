"""A folder of videos: NAME.mp4 (or .gif, .mkv, .webm), its caption in NAME.txt, and, if there are any, its input events in
NAME.events.jsonl, one object a line: {"time": 0.4, "kind": "press", "key": "a"}.

The hash of NAME puts about one video in ten into split test, so that adding a video moves no other one.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.recording import videos

FLAGS = Flags(window="--frames")
INPUT = FLAGS.input("The folder of NAME.mp4 and NAME.txt.", required=True)
SIZE = FLAGS.size("48x128", "Size that videos are letterboxed to")
FPS = FLAGS.fps(5.0, "Frames per second of the data.")
FRAMES = FLAGS.frames(9, "Frames of a training clip; shorter videos are rejected.")
TEST_SHARE = FLAGS.test_share()
LICENCE = FLAGS.licence()


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for a folder without videos."""
    names = {"input": INPUT.value, "size": str(SIZE.value), "fps": FPS.value, "window": FRAMES.value}
    names |= {"test_share": TEST_SHARE.value}
    return names | {"videos": [path.name for path in videos.videos(Path(INPUT.value))]}


def make(out: Path) -> dict[str, Any]:
    """Writes the videos as episodes and returns the counts."""
    return videos.build(
        videos.videos(Path(INPUT.value)),
        out,
        size=SIZE.value,
        fps=FPS.value,
        frames=FRAMES.value,
        licence=LICENCE.value,
        test_share=TEST_SHARE.value,
    )
