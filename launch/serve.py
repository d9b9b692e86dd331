"""Serves a desktop to your policy, a frame a request, on a port of loopback, and records every episode in OUT.

    neural-computer serve --desktop=minidesk --size=128 --out=DIR [--port=8060]
    neural-computer serve --desktop=rig --out=DIR
    neural-computer serve --desktop=shell --out=DIR

The client is `neural_computer.Environment`; `neural_computer.recording.environment_server` has the protocol. The recordings
become training data:

    neural-computer prepare_data --recipe=guiworld --source=import --input=DIR --size=128 --out=DATA
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.recording.environment_server import Collector, Server
from neural_computer.simulators.desktop import Desktop
from neural_computer.workflows import lock

FLAGS = Flags(log="--out")
DESKTOP = FLAGS.choice("desktop", "minidesk", ["minidesk", "rig", "shell"], "What is served.")
SIZE = FLAGS.size("128", "Size of the synthetic desktop, a square of 64 to 256 pixels")
PORT = FLAGS.integer("port", 8060, "The port on 127.0.0.1; 0 takes one that is free.", lower_bound=0, upper_bound=65535)
OUT = FLAGS.out("Where the episodes go.", required=True)
SIDES = 64, 256
"""Least and largest side of the synthetic desktop."""
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

    return nullcontext(MiniDesktop(furnished(seed, SIZE.value.side(*SIDES))))


def main(argv: list[str]) -> None:
    del argv
    folder = Path(OUT.value)
    SIZE.value.side(*SIDES)
    errors.interrupt_on_sigterm()
    with lock.exclusive(folder):
        collector = Collector(open_desktop, folder, DESKTOP.value, TREES[DESKTOP.value])
        with Server(collector, PORT.value) as server:
            print(f"{DESKTOP.value} at {server.url}, episodes in {folder}; Ctrl-C ends it", flush=True)
            try:
                server.serve_forever()
            finally:
                collector.close()


if __name__ == "__main__":
    errors.run(main, FLAGS)
