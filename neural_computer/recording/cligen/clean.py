"""CLIGen (Clean): plays tapes in a sandbox, one clip a tape; the tape is its caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.recording.cligen import arithmetic, redact
from neural_computer.recording.cligen.captions import captions, script, with_answer
from neural_computer.recording.cligen.clip_store import StoredClip, save
from neural_computer.recording.cligen.clips import clip
from neural_computer.recording.cligen.general import measurements
from neural_computer.recording.problems import Problem
from neural_computer.recording.sandbox import Sandbox
from neural_computer.recording.terminal import tape as tapes
from neural_computer.recording.terminal.isolated_replay import ReplayProcess
from neural_computer.recording.terminal.player import play
from neural_computer.recording.terminal.recorder import RecordingError
from neural_computer.recording.terminal.replay import Playing
from neural_computer.recording.terminal.tape import Tape
from neural_computer.screens.themes import MOCHA


class Script(NamedTuple):
    """A tape to play: its name, its text, the family it belongs to, and of the arithmetic probe its problem."""

    name: str
    text: str
    family: str = ""
    problem: Problem | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Clean:
    """Called with some scripts and a path: records their clips and writes them to a clip store there.

    A video longer than `frames` is uniformly subsampled, a shorter one repeats its last frame. The answer is appended to
    the caption of half of the arithmetic clips, chosen by `seed` and name.
    """

    frames: int = 81
    fps: float = 15.0
    seed: int = 0
    licence: str = "unknown"
    unsafe: bool = False

    def __call__(self, scripts: Sequence[Script], path: Path) -> None:
        clips: list[StoredClip] = []
        rows: list[dict[str, Any]] = []
        with ReplayProcess(Playing(fps=self.fps, idle=60.0, theme=MOCHA)) as process:
            for each in scripts:
                row: dict[str, Any] = {"name": each.name, "clips": 0, "family": each.family}
                try:
                    clips.append(self.clip(each, process, row))
                    row["clips"] = 1
                except (ValueError, OSError, RecordingError) as error:
                    row["rejected"] = str(error)
                rows.append(row)
        save(path, clips, {"rows": rows})

    def clip(self, each: Script, process: ReplayProcess, row: dict[str, Any]) -> StoredClip:
        """Clip of a script; adds counts to its row of the report.

        Raises ValueError, OSError or RecordingError for a script that gives no clip.
        """
        tape = tapes.parse(each.text, each.name)
        cast = play(tape, Sandbox(unsafe=self.unsafe))
        row["not_found"] = cast.meta.get("not_found", [])
        whole = process.replay(cast)
        secrets = redact.search(whole, {})
        row["masked"] = dict(secrets.counts)
        if reason := redact.rejection(secrets.counts):
            raise ValueError(reason)
        video = clip(redact.mask(whole, secrets), 0, len(whole.index) - 1, self.frames)
        if len(video.screens.chars) == 1:
            raise ValueError("nothing moves in it")
        texts = {tier: secrets.mask(text) for tier, text in (("script", script(tape)), *captions(video).items())}
        meta = self._meta(each, tape) | measurements(video)
        if each.problem is not None:
            row["split"] = each.problem.split
            texts |= arithmetic_captions(each, texts["script"], video.texts, self.seed)
            meta |= {"task": "arithmetic", "expression": each.problem.expression, "answer": each.problem.answer}
        return StoredClip(each.name, video, texts, meta)

    def _meta(self, each: Script, tape: Tape) -> dict[str, Any]:
        return {
            "source": {"recording": each.name, "family": each.family, **dict(tape.meta)},
            "licence": self.licence,
            "data_info": {"version": "tape", "env": {"TERM": "xterm-256color"}},
        }


def arithmetic_captions(each: Script, caption: str, screens: tuple[str, ...], seed: int) -> dict[str, str]:
    """Captions of an arithmetic clip: plain, answered, and `script`, which has the answer in half of the clips.

    Raises ValueError if the video shows another answer than the problem's.
    """
    problem = each.problem
    assert problem is not None
    if (shown := arithmetic.printed(screens, problem)) != problem.answer:
        raise ValueError(f"{problem.expression}: the video shows {shown!r}, the answer is {problem.answer}")
    return {
        "script": with_answer(caption, problem.answer, each.name, seed),
        "plain": caption,
        "answered": f"{caption} The answer is {problem.answer}",
    }
