"""A curriculum: what is drawn from changes at given batches of the training order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from neural_computer.types import Clip


class Stage(NamedTuple):
    """A source of clips, and the batches that are drawn from it: from `begin` on, before `end` (None: without end)."""

    source: Any
    begin: int
    end: int | None


class StagedSource(Sequence[Clip]):
    """Sources by the number of the batch from which on they are drawn from. `len()` and `[i]` are those of the last one."""

    def __init__(self, sources: Mapping[int, Any]):
        """Raises ValueError unless the numbers rise from 0."""
        begins = list(sources)
        if not begins or begins[0] != 0 or begins != sorted(begins):
            raise ValueError(f"stages={begins}: give the steps at which stages begin, in order, the first at 0")
        ends = [*begins[1:], None]
        self.stages = [Stage(sources[begin], begin, end) for begin, end in zip(begins, ends, strict=True)]

    def after(self, batch: int) -> Iterator[Stage]:
        """The stages that have a batch from that number on; the first of them begins with it."""
        for source, begin, end in self.stages:
            if end is None or end > batch:
                yield Stage(source, max(begin, batch), end)

    def __len__(self) -> int:
        return len(self.stages[-1].source)

    def __getitem__(self, index: Any) -> Any:
        return self.stages[-1].source[index]

    def __repr__(self) -> str:
        return f"StagedSource({[(stage.begin, stage.source) for stage in self.stages]!r})"


def begins(stages: Mapping[str, Any]) -> dict[int, Any]:
    """Stages of a config, whose keys are texts, by the number of their first step. Raises ValueError for another key."""
    try:
        return {int(step): shares for step, shares in stages.items()}
    except ValueError:
        raise ValueError(f"stages={list(stages)}: must be steps, whole numbers") from None
