"""CLIGen (General): public recordings to clips: read leniently, replayed in a child process, redacted, cut, captioned."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_computer.recording.cligen import redact
from neural_computer.recording.cligen.captions import captions
from neural_computer.recording.cligen.clip_store import StoredClip, save
from neural_computer.recording.cligen.clips import Cutting, cut
from neural_computer.recording.cligen.llm_captions import Captioner, CaptionError, length_problem, prompt
from neural_computer.recording.cligen.redact import Rules
from neural_computer.recording.cligen.stats import videogen
from neural_computer.recording.terminal import cast as casts
from neural_computer.recording.terminal.cast import Cast
from neural_computer.recording.terminal.isolated_replay import ReplayProcess
from neural_computer.recording.terminal.replay import Playing, Replay


@dataclass(frozen=True)
class General:
    """Called with some files and a path: cuts their recordings into clips and writes them to a clip store there.

    `sources` maps a file's name to its origin and licence. A `captioner` rewords the captions of the templates; where it
    fails, the template's caption stays and the row of the report counts it.
    """

    playing: Playing = Playing()
    cutting: Cutting = Cutting()
    rules: Rules = Rules()
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    captioner: Captioner | None = None

    def __call__(self, files: Sequence[Path], path: Path) -> None:
        clips: list[StoredClip] = []
        rows: list[dict[str, Any]] = []
        with ReplayProcess(self.playing) as process:
            for file in files:
                row: dict[str, Any] = {"name": file.name, "clips": 0}
                try:
                    parts = list(self.clips(file, process, row))
                    if not parts:
                        raise ValueError("nothing moves in it")
                    row["clips"] = len(parts)
                    clips += parts
                except (ValueError, OSError) as error:
                    row["rejected"] = str(error)
                rows.append(row)
        save(path, clips, {"rows": rows})

    def clips(self, file: Path, process: ReplayProcess, row: dict[str, Any]) -> Iterator[StoredClip]:
        """Clips of a recording; adds repairs and counts to its row of the report. Raises ValueError, OSError."""
        cast = casts.read(file)
        row["repairs"] = list(cast.repairs)
        number = 0
        for part in process.parts(cast):
            secrets = redact.search(part, cast.meta)
            row["masked"] = dict(Counter(row.get("masked", {})) + secrets.counts)
            if reason := redact.rejection(row["masked"], self.rules):
                raise ValueError(reason)
            pieces = cut(redact.mask(part, secrets), self.cutting)
            row["frozen"] = row.get("frozen", 0) + pieces.frozen
            meta = redact.mask_meta(self._meta(cast, file), secrets)
            for clip in pieces.clips:
                texts = {tier: secrets.mask(text) for tier, text in captions(clip).items()}
                yield StoredClip(f"{file.stem}/{number}", clip, self._reworded(texts, row), meta | measurements(clip))
                number += 1

    def _reworded(self, texts: dict[str, str], row: dict[str, Any]) -> dict[str, str]:
        """The captions in the captioner's words, if there is a captioner."""
        if self.captioner is None:
            return texts
        facts, out = "\n".join(texts.values()), dict(texts)
        for tier in texts:
            try:
                out[tier] = self.captioner(prompt(tier, facts), lambda text, tier=tier: length_problem(tier, text))  # type: ignore[misc]
            except CaptionError:
                row["template_captions"] = row.get("template_captions", 0) + 1
        return out

    def _meta(self, cast: Cast, file: Path) -> dict[str, Any]:
        source = dict(self.sources.get(file.name, {}))
        info = {"version": cast.version, "size": [cast.cols, cast.rows], "env": cast.meta.get("env", {})}
        title = {name: cast.meta[name] for name in ("title", "command", "timestamp") if name in cast.meta}
        return {
            "source": {"recording": file.name, **title, **source},
            "licence": source.get("licence", "unknown"),
            "data_info": info,
        }


def measurements(clip: Replay) -> dict[str, Any]:
    """Measurements of a clip (see `stats.videogen`), and its place and speed in the recording."""
    return {"videogen": videogen(clip), "clip": {"start": round(clip.start, 3), "speed": round(clip.speed, 4)}}
