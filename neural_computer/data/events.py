"""Input events in a file beside a video: NAME.events.jsonl, one object a line, {"time": 0.4, "kind": "press", "key": "a"}."""

import json
from pathlib import Path

from neural_computer.types import Event


def read(path: Path) -> tuple[Event, ...]:
    """The events in a file, none if there is no file. Raises ValueError, naming the line, for one that is no event."""
    events = []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        try:
            event = Event(**json.loads(line))
            events.append(event._replace(time=float(event.time)))
        except (TypeError, ValueError) as error:
            fields = ", ".join(Event._fields)
            raise ValueError(f"{path.name}:{number}: is no event ({error}); its keys are {fields}") from error
    return tuple(events)
