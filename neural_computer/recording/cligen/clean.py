"""CLIGen (Clean): tapes to footage: played in a sandbox, one clip a tape, the script its caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.recording.cligen import arithmetic, redact
from neural_computer.recording.cligen.arithmetic import Problem
from neural_computer.recording.cligen.captions import answered, captions, script
from neural_computer.recording.cligen.clip_store import Footage, save
from neural_computer.recording.cligen.clips import clip
from neural_computer.recording.cligen.general import measured
from neural_computer.recording.sandbox import Sandbox
from neural_computer.recording.terminal import tape
from neural_computer.recording.terminal.isolated_replay import Projector
from neural_computer.recording.terminal.player import play
from neural_computer.recording.terminal.recorder import RecordingError
from neural_computer.recording.terminal.replay import Playing
from neural_computer.recording.terminal.tape import Tape
from neural_computer.screens.themes import MOCHA


class Script(NamedTuple):
    """A tape to play."""

    name: str
    text: str
    family: str = ""
    problem: Problem | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Clean:
    """What is made of tapes, and how: called with some scripts and the path that their footage goes to.

    A video longer than `frames` is uniformly subsampled, a shorter one stands on its last frame. The answer is appended to
    the caption of a half of the arithmetic clips, drawn by `seed` and name.
    """

    frames: int = 81
    fps: float = 15.0
    seed: int = 0
    licence: str = "unknown"
    unsafe: bool = False

    def __call__(self, scripts: Sequence[Script], path: Path) -> None:
        made: list[Footage] = []
        rows: list[dict[str, Any]] = []
        playing = Playing(fps=self.fps, idle=60.0, theme=MOCHA)
        with Projector(playing) as projector:
            for each in scripts:
                row: dict[str, Any] = {"name": each.name, "clips": 0, "family": each.family}
                try:
                    made.append(self.footage(each, projector, row))
                    row["clips"] = 1
                except (ValueError, OSError, RecordingError) as error:
                    row["refused"] = str(error)
                rows.append(row)
        save(path, made, {"rows": rows})

    def footage(self, each: Script, projector: Projector, row: dict[str, Any]) -> Footage:
        """The clip of a tape. Raises ValueError, OSError, RecordingError for one that comes to nothing."""
        found = tape.parse(each.text, each.name)
        whole = projector.replay(play(found, Sandbox(unsafe=self.unsafe)))
        known = redact.search(whole, {})
        row["masked"] = dict(known.counts)
        if reason := redact.refusal(known.counts):
            raise ValueError(reason)
        video = clip(redact.mask(whole, known), 0, len(whole.index) - 1, self.frames)
        if len(video.screens.chars) == 1:
            raise ValueError("nothing moves in it")
        told = {"script": known.mask(script(found)), **{k: known.mask(v) for k, v in captions(video).items()}}
        meta = self._meta(each, found) | measured(video)
        if each.problem is not None:
            row["split"] = each.problem.split
            told |= solved(each, told["script"], video.texts, self.seed)
            meta |= {"task": "arithmetic", "expression": each.problem.expression, "answer": each.problem.answer}
        return Footage(each.name, video, told, meta)

    def _meta(self, each: Script, found: Tape) -> dict[str, Any]:
        return {
            "source": {"recording": each.name, "family": each.family, **dict(found.meta)},
            "licence": self.licence,
            "data_info": {"version": "tape", "env": {"TERM": "xterm-256color"}},
        }


def solved(each: Script, told: str, screens: tuple[str, ...], seed: int) -> dict[str, str]:
    """Captions of an arithmetic clip: plain, answered, and `script`, which is answered in a half of the clips.

    Raises ValueError if the video shows another answer than the problem's.
    """
    problem = each.problem
    assert problem is not None
    if (shown := arithmetic.printed(screens, problem)) != problem.answer:
        raise ValueError(f"{problem.expression}: the video shows {shown!r}, the answer is {problem.answer}")
    return {
        "script": answered(told, problem.answer, each.name, seed),
        "plain": told,
        "answered": f"{told} The answer is {problem.answer}",
    }
