"""Serves a desktop to your policy, a frame a request, on a port of loopback, and records every episode in LOG.

    python -m launch.serve --desktop=minidesk --size=128 --log=DIR [--port=8060]
    python -m launch.serve --desktop=rig --log=DIR
    python -m launch.serve --desktop=shell --log=DIR

The client is `neural_computer.Environment`; `neural_computer.recording.environment_server` has the protocol. The recordings
become training data:

    python -m launch.prepare_data --recipe=guiworld --source=import --input=DIR --size=128x128 --output=DATA
"""

import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType

from absl import flags

from launch import errors
from neural_computer.recording.environment_server import Collector, Server
from neural_computer.simulators.desktop import Desktop
from neural_computer.workflows import lock

DESKTOP = flags.DEFINE_enum("desktop", "minidesk", ["minidesk", "rig", "shell"], "What is served.")
SIDE = flags.DEFINE_integer("size", 128, "The synthetic desktop's side in pixels.", lower_bound=64, upper_bound=256)
PORT = flags.DEFINE_integer("port", 8060, "The port on 127.0.0.1; 0 takes one that is free.", 0, 65535)
LOG = flags.DEFINE_string("log", None, "Where the episodes go.")
TREES = {"minidesk": 1, "rig": 15, "shell": 1}
"""Frames between two rows of the widget tree: reading a real desktop's takes a tenth of a second."""


def open_desktop(seed: int) -> AbstractContextManager[Desktop]:
    """A new desktop. The seed furnishes the synthetic one; the others start the same every time."""
    if DESKTOP.value == "rig":
        from neural_computer.recording.xfce.desktop import XfceDesktop

        return XfceDesktop()
    if DESKTOP.value == "shell":
        from neural_computer.recording.terminal.shell import Shell

        return Shell()
    from neural_computer.simulators.minidesk.session import MiniDesktop, furnished

    return nullcontext(MiniDesktop(furnished(seed, SIDE.value)))


def stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise KeyboardInterrupt(signal.Signals(number).name)


def main(argv: list[str]) -> None:
    del argv
    folder = Path(LOG.value)
    signal.signal(signal.SIGTERM, stop)
    with lock.held(folder):
        collector = Collector(open_desktop, folder, DESKTOP.value, TREES[DESKTOP.value])
        with Server(collector, PORT.value) as server:
            print(f"{DESKTOP.value} at {server.url}, episodes in {folder}; Ctrl-C ends it", flush=True)
            try:
                server.serve_forever()
            finally:
                collector.close()


if __name__ == "__main__":
    flags.mark_flag_as_required("log")
    errors.run(main)
