"""Makes training data.

    python -m launch.prepare_data --recipe=repl --output=DIR
    python -m launch.prepare_data --recipe=videos --input=VIDEOS --output=DIR
    python -m launch.prepare_data --recipe=cligen_general --input=CASTS --output=DIR
    python -m launch.prepare_data --recipe=cligen_clean --output=DIR [--input=TAPES]
    python -m launch.prepare_data --recipe=arithmetic --output=DIR
    python -m launch.prepare_data --recipe=guiworld --size=128 --output=DIR [--source=import --input=RECORDINGS]
    python -m launch.prepare_data --recipe=encode --input=DATA --output=DIR --config=CONFIG --init=CONVERTED

Finished, the same command does nothing. Broken off, it goes on (videos alone begin anew), and what is half written is
never read. What was kept and rejected: DIR/summary.json, and for people DIR/DATA_CARD.md; --preview=N shows N clips a split.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from launch import errors
from launch.prepare_data import arithmetic, card, cligen_clean, cligen_general, encode, guiworld, preview, repl, videos
from neural_computer.workflows import lock

RECIPES = {
    "repl": repl,
    "videos": videos,
    "encode": encode,
    "cligen_general": cligen_general,
    "cligen_clean": cligen_clean,
    "arithmetic": arithmetic,
    "guiworld": guiworld,
}

RECIPE = flags.DEFINE_enum("recipe", None, list(RECIPES), "What to make data from.")
PREVIEW = flags.DEFINE_integer("preview", 0, "Clips of each split to show in OUTPUT/preview.html.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", None, "Where the data go.")


def main(argv: list[str]) -> None:
    del argv
    recipe, output = RECIPES[RECIPE.value], Path(OUTPUT.value)
    summary = output / "summary.json"
    settings = {"recipe": RECIPE.value, **recipe.settings()}
    if summary.exists():
        before = json.loads(summary.read_text())
        if before["settings"] == settings:
            print(f"{output}: is there already ({before['kept']} kept)")
            return shown(output)
        raise ValueError(
            f"{output}: holds data of other settings ({before['settings']}, not {settings}); give another --output or "
            "delete it"
        )
    with lock.held(output):
        make(recipe, output, settings)
    shown(output)


def shown(output: Path) -> None:
    """Writes preview.html if that is asked for."""
    if PREVIEW.value:
        preview.page_of(output, PREVIEW.value).save(output / "preview.html")
        print(f"{output}/preview.html")


def make(recipe: ModuleType, output: Path, settings: Mapping[str, Any]) -> None:
    """Makes the data and writes summary.json; prints what was rejected."""
    begin = time.monotonic()
    report = {"settings": settings, **recipe.make(output), "seconds": round(time.monotonic() - begin, 1)}
    (output / card.FILE).write_text(card.card(report))
    temporary = output / "summary.partial"
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    temporary.replace(output / "summary.json")
    print(f"{output}: {report['kept']} kept, {len(report['rejected'])} rejected, {report['seconds']} s")
    for name, reason in report["rejected"].items():
        print(f"rejected  {name}: {reason}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["recipe", "output"])
    errors.run(main)
