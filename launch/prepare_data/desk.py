"""The streaming desktop: long sessions on the synthetic desktop, with every frame's kind.

    neural-computer prepare_data --recipe=desk --sessions=256 --frames=600 --out=DIR --preview=4

Its apps open at once and one at a time, so that a frame follows from the frame before and the mouse and keys of its own: icons
are chosen, apps opened and closed, windows dragged, menus opened, buttons and keys pressed. Sessions of split test are another
user's, who rests more.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.recording import desk
from neural_computer.recording.streams import MOST, TEST, TRAIN
from neural_computer.simulators.policies.brisk import USERS

FLAGS = Flags()
SIDE = FLAGS.integer("side", 64, "Side of the screen in pixels, a multiple of 8.", lower_bound=64, upper_bound=256)
SESSIONS = FLAGS.integer("sessions", 128, "Sessions of split train.", lower_bound=1, upper_bound=MOST)
HELD_OUT = FLAGS.integer("held_out", 16, "Sessions of split test.", lower_bound=1, upper_bound=MOST)
FRAMES = FLAGS.integer("frames", 600, "Frames of a session, 15 a second.", lower_bound=2)
WINDOW = FLAGS.integer("window", 17, "Most frames of a training clip.", lower_bound=2)
SEED = FLAGS.seed()
USER = FLAGS.choice("user", "brisk", list(USERS), "Who uses it in split train.")
TEST_USER = FLAGS.choice("test_user", "calm", list(USERS), "Who uses it in split test.")


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for flags that exclude one another."""
    if WINDOW.value > FRAMES.value:
        raise ValueError(f"--window={WINDOW.value}: is longer than a session; give at most --frames={FRAMES.value}")
    if SEED.value < 0:
        raise ValueError(f"--seed={SEED.value}: must not be negative")
    if SIDE.value % 8:
        raise ValueError(f"--side={SIDE.value}: must be a multiple of 8; try {SIDE.value // 8 * 8}")
    # Not "frames", which is a clip's length in the summary of other recipes.
    names: dict[str, Any] = {"side": SIDE.value, "session": FRAMES.value, "window": WINDOW.value, "seed": SEED.value}
    return names | {
        **{"sessions": SESSIONS.value, "held_out": HELD_OUT.value},
        **{"user": USER.value, "test_user": TEST_USER.value},
    }


def make(out: Path) -> dict[str, Any]:
    """Makes the sessions, writes them and returns the counts."""
    same = {"frames": FRAMES.value, "size": SIDE.value, "seed": SEED.value}
    train = desk.Part(USER.value, SESSIONS.value, WINDOW.value, 0, **same)
    return desk.build({TRAIN: train, TEST: desk.Part(TEST_USER.value, HELD_OUT.value, FRAMES.value, MOST, **same)}, out)
