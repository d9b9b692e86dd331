"""Input events in a file beside a video: NAME.events.jsonl, one object a line, {"time": 0.4, "kind": "press", "key": "a"}."""

import json
import re
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


def typed(text: str, fps: float, every: int = 1) -> tuple[list[Event], int]:
    """(events, frames) of keys typed one after another, a key every so many frames, from frame 1 on.

    A character is its own key; others are named, as in "12+7<Return><Up>". "<<" is <. Raises ValueError for a name that ends
    nowhere.
    """
    keys = re.findall(r"<<|<\w+>|[^<]", text)
    if "".join(keys) != text:
        raise ValueError(f"keys={text!r}: a key's name begins with < and ends with >, as <Return>; write << for <")
    names = ["<" if key == "<<" else key.strip("<>") if len(key) > 2 else key for key in keys]
    return [Event((1 + number * every - 0.5) / fps, "press", name) for number, name in enumerate(names)], 1 + len(
        names
    ) * every
