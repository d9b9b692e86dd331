"""The simulated terminal's typists at a real bash in a sandbox, tick by tick; sums and differences are a real Python's.

bash echoes, edits, scrolls and has a history by itself; its start-up file leaves it the simulated terminal's commands and
no others. Where the two differ, the recording is bash's: a line too long for the screen goes on in the next row, and blanks at
the ends of a line count for nothing. A tick lasts as long as bash takes to answer its key.
"""

import io
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.data.kinds import labels
from neural_computer.files import write_whole
from neural_computer.recording import sandbox
from neural_computer.recording.sandbox import Sandbox, SandboxError
from neural_computer.recording.terminal.lockstep import load_recordings
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession
from neural_computer.recording.workers import make_all
from neural_computer.screens.prompts import PROMPT
from neural_computer.screens.terminal import Atlas, Cells, Screen, stack
from neural_computer.simulators.tty import commands, drawing, kinds, sessions
from neural_computer.simulators.tty.machine import MOST
from neural_computer.simulators.tty.typists import TYPISTS, keys
from neural_computer.types import Episode

START_UP = "/etc/tty.bashrc"
SHELL = ("bash", "--noprofile", "--rcfile", START_UP, "-i")
RESERVED = "case coproc do done elif else esac fi for function if in select then time until while"
COMMANDS = rf"""
PS1='{PROMPT}' PATH=/none HISTIGNORE=clear HISTCONTROL=
date() {{ /usr/bin/printf '%s\n' '{commands.DATE}'; }}
clear() {{ /usr/bin/printf '\e[H\e[2J'; }}
command_not_found_handle() {{
    a=10#${{1%%[+-]*}} sign=${{1//[0-9]}} b=10#${{1##*[+-]}}
    if [[ $* =~ ^[0-9]{{1,2}}[+-][0-9]{{1,2}}$ ]] && ((a <= {commands.LARGEST} && b <= {commands.LARGEST})); then
        /usr/bin/python3 -ISc "print($((a)) $sign $((b)))"
    else
        /usr/bin/printf '%s\n' "$*"
    fi
}}
for word in {RESERVED}; do alias $word="\\$word"; done
enable -n $(compgen -b)
"""
"""bash's start-up file: `date` is fixed, calculations are Python's, any other word is echoed, builtins and reserved words too"""
SEQUENCES = {"Return": "\r", "BackSpace": "\x7f", "Up": "\x1b[A", "Down": "\x1b[B"}
DEADLINE, SILENCE = 10.0, 1.0
"""Seconds for the response to a key, and of waiting after which a key without an echo counts as handled"""
CHUNK = 4
"""Sessions in a file of recordings"""


@dataclass(frozen=True)
class BashSession:
    """A session to record: its typist's name, its seed, its frames, and the screen's rows and columns."""

    typist: str
    seed: tuple[int, int]
    frames: int
    rows: int
    cols: int

    @property
    def id(self) -> str:
        return "tty/{}/{}".format(*self.seed)

    @property
    def keys(self) -> list[str]:
        """The keys of frame 1 and on. bash refuses no character, so to the typist the line has room for all."""
        return list(islice(keys(TYPISTS[self.typist], self.seed, self.rows, MOST), self.frames - 1))


def play(pressed: Iterable[str], rows: int, cols: int) -> Cells:
    """Screens of a session, one more than ticks: before them, and after each, settled; "" is a tick without a key.

    Raises RecordingError if bash ends or does not answer, SandboxError without a sandbox.
    """
    screen = Screen(rows, cols)
    with TerminalSession(SHELL, rows, cols, {}, DEADLINE, Sandbox(files={START_UP: COMMANDS}), SILENCE) as session:
        screen.feed(session.settle())
        screens = [screen.cells()]
        for key in pressed:
            if key:
                session.press(SEQUENCES.get(key, key))
                screen.feed(session.settle())
            screens.append(screen.cells())
    return stack(screens)


def check() -> None:
    """Raises SandboxError where no sandbox can be started, or has no Python."""
    sandbox.confined()
    if not sandbox.has("python"):
        raise SandboxError(f"/usr/bin/python3: is not installed; {sandbox.INSTALL} installs it")


# Recordings on disk


def record_all(jobs: Sequence[BashSession], directory: Path, workers: int) -> list[Path]:
    """Files of all sessions, CHUNK of them each, in order; records those that are not in `directory` yet."""
    return make_all(jobs, record_chunk, directory, workers=workers, chunk=CHUNK, of=COMMANDS, unit="session")


def record_chunk(chunk: Sequence[BashSession], path: Path) -> None:
    """Records some sessions and writes their screens to `path`. Raises RecordingError, naming the session."""
    arrays: dict[str, Any] = {}
    for job in chunk:
        try:
            screens = play(job.keys, job.rows, job.cols)
        except RecordingError as error:
            raise RecordingError(f"{job.id}: {error}") from error
        arrays |= {f"{job.id}/{name}": x for name, x in screens._asdict().items()}
    arrays["bash"] = np.frombuffer(json.dumps(version()).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_whole(path, file.getvalue())


def version() -> str:
    """The version of bash."""
    text = subprocess.run(["bash", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\S+)", text)
    return found[1] if found else "of unknown version"


def episodes(jobs: Sequence[BashSession], paths: Sequence[Path]) -> Iterator[Episode]:
    """Recorded sessions as episodes, in order. Raises ValueError for a damaged file."""
    for number, path in enumerate(paths):
        arrays = load_recordings(path)
        bash = json.loads(arrays.pop("bash").tobytes())
        for job in jobs[number * CHUNK : (number + 1) * CHUNK]:
            yield episode(job, Cells(*(arrays[f"{job.id}/{name}"] for name in Cells._fields)), bash)


def episode(job: BashSession, screens: Cells, bash: str) -> Episode:
    """A session as an episode: bash's screens, and the keys and kinds of the simulated terminal that followed along."""
    simulated = sessions.play(job.keys, job.rows, MOST)
    source = {"source": f"recorded in bash {bash}", "seed": job.seed, "typist": asdict(TYPISTS[job.typist])}
    return Episode(
        id=job.id,
        frames=Atlas(cell=drawing.CELL).draw(screens),
        fps=sessions.FPS,
        captions=sessions.CAPTIONS,
        cells=tuple(Cells(*(x[t] for x in screens)).text() for t in range(len(screens.chars))),
        events=sessions.events(simulated.keys),
        meta={**source, **labels(simulated.kinds, kinds.KINDS), "licence": sessions.LICENCE},
    )
