"""Trained computers that come with the package, each a folder that `nc.load` reads by its name.

terminal    types, adds, scrolls and remembers, 15 frames a second on one CPU core (configs/tty.py)
"""

from pathlib import Path

SHIPPED = Path(__file__).parent
RUNS = Path("runs")


def names() -> list[str]:
    """The machines that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def folder(name: str | Path) -> Path:
    """Folder of a trained machine: the one of that path, else the one of that name in runs/, else one of the package's."""
    for path in (Path(name), RUNS / name, SHIPPED / name):
        if path.exists():
            return path
    return Path(name)
