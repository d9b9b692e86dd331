"""CLIGen (General): anybody's recordings to footage: read leniently, played in a child, masked, cut, captioned."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_computer.recording.cligen import redact
from neural_computer.recording.cligen.captions import captions
from neural_computer.recording.cligen.clip_store import Footage, save
from neural_computer.recording.cligen.clips import Cutting, cut
from neural_computer.recording.cligen.llm_captions import Writer, WriterError, length, prompt
from neural_computer.recording.cligen.redact import Rules
from neural_computer.recording.cligen.stats import videogen
from neural_computer.recording.terminal import cast as casts
from neural_computer.recording.terminal.cast import Cast
from neural_computer.recording.terminal.isolated_replay import Projector
from neural_computer.recording.terminal.replay import Playing, Replay


@dataclass(frozen=True)
class General:
    """What is made of recordings, and how: called with some files and the path that their footage goes to.

    `sources` tells of a file, by its name, where it comes from and its licence. With a `writer`, its captions stand in
    place of the templates', which it is given; one that gives none leaves the template's, and that is counted.
    """

    playing: Playing = Playing()
    cutting: Cutting = Cutting()
    rules: Rules = Rules()
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    writer: Writer | None = None

    def __call__(self, files: Sequence[Path], path: Path) -> None:
        made: list[Footage] = []
        rows: list[dict[str, Any]] = []
        with Projector(self.playing) as projector:
            for file in files:
                row: dict[str, Any] = {"name": file.name, "clips": 0}
                try:
                    clips = list(self.footage(file, projector, row))
                    if not clips:
                        raise ValueError("nothing moves in it")
                    row["clips"] = len(clips)
                    made += clips
                except (ValueError, OSError) as error:
                    row["refused"] = str(error)
                rows.append(row)
        save(path, made, {"rows": rows})

    def footage(self, file: Path, projector: Projector, row: dict[str, Any]) -> Iterator[Footage]:
        """The clips of a recording; what was repaired, masked and dropped goes into `row`. Raises ValueError, OSError."""
        cast = casts.read(file)
        row["repairs"] = list(cast.repairs)
        number = 0
        for part in projector.parts(cast):
            known = redact.search(part, cast.meta)
            row["masked"] = dict(Counter(row.get("masked", {})) + known.counts)
            if reason := redact.refusal(row["masked"], self.rules):
                raise ValueError(reason)
            found = cut(redact.mask(part, known), self.cutting)
            row["frozen"] = row.get("frozen", 0) + found.frozen
            meta = redact.mask_meta(self._meta(cast, file), known)
            for clip in found.clips:
                told = {name: known.mask(text) for name, text in captions(clip).items()}
                yield Footage(f"{file.stem}/{number}", clip, self._written(told, row), meta | measured(clip))
                number += 1

    def _written(self, told: dict[str, str], row: dict[str, Any]) -> dict[str, str]:
        """The captions in the writer's words."""
        if self.writer is None:
            return told
        facts, out = "\n".join(told.values()), dict(told)
        for tier in told:
            try:
                out[tier] = self.writer(prompt(tier, facts), lambda text, tier=tier: length(tier, text))  # type: ignore[misc]
            except WriterError:
                row["unwritten"] = row.get("unwritten", 0) + 1
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


def measured(clip: Replay) -> dict[str, Any]:
    """Figures of a clip, and where in its recording it is."""
    return {"videogen": videogen(clip), "clip": {"start": round(clip.start, 3), "speed": round(clip.speed, 4)}}
