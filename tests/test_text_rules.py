"""What the text of this repository must not hold: registry addresses, machine paths, outputs in notebooks."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Written in pieces, so that this file does not break its own rules.
FORBIDDEN = {
    "a package registry's address": "|".join(["py" + "pi\\.org", "python" + "hosted\\.org", "download\\.py" + "torch"]),
    "an index in a requirements file": "--(extra-)?index" + "-url|--find" + "-links",
    "a path of one machine": "(?<![\\w.])/(wo" + "rk|ro" + "ot/\\.)\\b",
    "a note to self": "\\b(TO" + "DO|FIX" + "ME|X" + "XX)\\b",
    "a figure still to be filled in": "FI" + "LL:",
    "a future import": "from __fut" + "ure__ import annotations",
}
LOCKS = {"uv.lock", "pylock.toml", "poetry.lock"}


def tracked() -> list[Path]:
    """Every file that git has or would take."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            found.append((path.relative_to(ROOT).as_posix(), data.decode("utf-8")))
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    pattern = re.compile(FORBIDDEN[what])
    hits = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits, f"{what}:\n" + "\n".join(hits)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package registry's address", "https://py" + "pi.org/simple/jax"),
        ("an index in a requirements file", "--index" + "-url=x"),
        ("a path of one machine", "cd /wo" + "rk/main"),
        ("a note to self", "# TO" + "DO: later"),
        ("a figure still to be filled in", "| PSNR | FI" + "LL: |"),
        ("a future import", "from __fut" + "ure__ import annotations"),
    ],
)
def test_a_planted_fault_is_found(what, line):
    assert re.search(FORBIDDEN[what], line)


def test_no_lock_file_and_no_large_file():
    paths = tracked()
    assert not [path for path in paths if path.name in LOCKS]
    most = {"safetensors": 8_000_000}  # a machine that comes with the package
    assert not [path for path in paths if path.stat().st_size > most.get(path.suffix[1:], 2**21)]


def test_notebooks_are_stored_without_outputs():
    for path in (path for path in tracked() if path.suffix == ".ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells), path.name
