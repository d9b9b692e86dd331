"""Makes training data.

    neural-computer prepare_data --recipe=repl --out=DIR
    neural-computer prepare_data --recipe=number_files --out=DIR
    neural-computer prepare_data --recipe=videos --input=VIDEOS --out=DIR
    neural-computer prepare_data --recipe=cligen_general --input=CASTS --out=DIR
    neural-computer prepare_data --recipe=cligen_clean --out=DIR [--input=TAPES]
    neural-computer prepare_data --recipe=arithmetic --out=DIR
    neural-computer prepare_data --recipe=guiworld --size=128 --out=DIR [--source=import --input=RECORDINGS]
    neural-computer prepare_data --recipe=tty --out=DIR
    neural-computer prepare_data --recipe=desk --out=DIR
    neural-computer prepare_data --recipe=sessions --input=LIVE/recordings --out=DIR
    neural-computer prepare_data --recipe=encode --input=DATA --out=DIR --config=CONFIG --init=CONVERTED

Finished, the same command does nothing. After an interruption it goes on (videos alone begin anew), and what is half written
is never read. DIR/summary.json has the counts and what was rejected, DIR/DATA_CARD.md the same for people; --preview=N shows
N clips a split.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from neural_computer.files import write_whole
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.launch.prepare_data import (
    arithmetic,
    cligen_clean,
    cligen_general,
    desk,
    encode,
    guiworld,
    number_files,
    repl,
    sessions,
    tty,
    videos,
)
from neural_computer.recording import card
from neural_computer.workflows import lock

RECIPES: dict[str, ModuleType] = {
    "repl": repl,
    "number_files": number_files,
    "videos": videos,
    "encode": encode,
    "cligen_general": cligen_general,
    "cligen_clean": cligen_clean,
    "arithmetic": arithmetic,
    "guiworld": guiworld,
    "tty": tty,
    "desk": desk,
    "sessions": sessions,
}

FLAGS = Flags()
RECIPE = FLAGS.part("recipe", {name: recipe.FLAGS for name, recipe in RECIPES.items()}, None, "What to make data from.")
PREVIEW = FLAGS.integer("preview", 0, "Clips of each split to show in OUT/preview.html.", lower_bound=0)
OUT = FLAGS.out("Where the data go.", required=True)


def main(argv: list[str]) -> None:
    del argv
    recipe, out = RECIPES[RECIPE.value], Path(OUT.value)
    summary = out / "summary.json"
    settings = {"recipe": RECIPE.value, **recipe.settings()}
    if summary.exists():
        before = json.loads(summary.read_text())
        if before["settings"] != settings:
            raise ValueError(
                f"{out}: holds data of other settings ({before['settings']}, not {settings}); give another --out or delete it"
            )
        print(f"{out}: is there already ({before['kept']} kept)")
    else:
        with lock.exclusive(out):
            make(recipe, out, settings)
    if PREVIEW.value:
        from neural_computer.workflows.preview import preview

        preview(out, PREVIEW.value).save(out / "preview.html")
        print(f"{out}/preview.html")


def make(recipe: ModuleType, out: Path, settings: Mapping[str, Any]) -> None:
    """Makes the data, writes the card and summary.json and prints what was rejected."""
    begin = time.monotonic()
    report = {"settings": settings, **recipe.make(out), "seconds": round(time.monotonic() - begin, 1)}
    (out / card.FILE).write_text(card.card(report))
    write_whole(out / "summary.json", json.dumps(report, indent=2) + "\n")
    print(f"{out}: {report['kept']} kept, {len(report['rejected'])} rejected, {report['seconds']} s")
    for name, reason in report["rejected"].items():
        print(f"rejected  {name}: {reason}")


if __name__ == "__main__":
    errors.run(main, FLAGS)
