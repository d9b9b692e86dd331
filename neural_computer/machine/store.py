"""Sessions on disk: snapshots with a journal, so that a killed server goes on where it was, and sessions that were saved by name.

A snapshot is a session's point; the journal has the events of every step since. Snapshot and journal together give the session
bit for bit, for a step is a function. Both are gone when the session ends. The folder is its owner's alone.
"""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from neural_computer.errors import Error, first_line
from neural_computer.files import replacing
from neural_computer.formats import FORMAT
from neural_computer.machine import values
from neural_computer.machine.controls import Frames
from neural_computer.machine.session import Point
from neural_computer.types import State

NAME = re.compile(r"[\w][\w .+-]{0,39}")
"""Names of saved sessions"""
SAVED_MOST = 100
ID = re.compile(r"[0-9a-f]{16}")


class StoreError(Error, ValueError):
    """What is asked for is not stored, or cannot be."""


@dataclass(frozen=True)
class Stored:
    """A session as it was stored."""

    seed: int
    point: Point
    log: dict[int, Frames]


class Store:
    """The sessions of one machine in a folder. `version` is the machine's, `like` one of its states.

    Arrays are named by their path in the state, numbers of another width by their bytes.
    """

    def __init__(self, folder: Path, version: str, like: State):
        self.folder, self.version, self.like = folder, version, like
        self._journals: dict[str, IO[str]] = {}
        for each in (folder, folder / "open", folder / "saved"):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)

    # Running sessions

    def snapshot(self, id: str, seed: int, point: Point) -> None:
        """Writes a session's point, and begins its journal anew."""
        self._write(self._path(id), seed, point)
        if id in self._journals:
            self._journals.pop(id).close()
        # The first line says which snapshot it goes on from: between both writes the old one is of no use.
        self._journals[id] = file = self._path(id, ".journal").open("w")
        file.write(json.dumps({"after": point.moment.frame}) + "\n")
        file.flush()

    def note(self, id: str, frame: int, events: Frames) -> None:
        """Adds a step's events, which begins with `frame`, to the session's journal."""
        if id in self._journals:
            self._journals[id].write(json.dumps({"frame": frame, "events": values.encode(events)}) + "\n")
            self._journals[id].flush()

    def resume(self, id: str) -> Stored | None:
        """The running session of this id as it was last; None if there is none, or none of this machine."""
        if not ID.fullmatch(id) or not self._path(id).exists():
            return None
        try:
            seed, point = self._read(self._path(id))
        except StoreError:
            return None
        return Stored(seed, point, self._journal(id, point.moment.frame))

    def _journal(self, id: str, after: int) -> dict[int, Frames]:
        """The steps in a journal that goes on from frame `after`; what a kill cut off is left out."""
        log: dict[int, Frames] = {}
        try:
            lines = self._path(id, ".journal").read_text().splitlines()
            if not lines or json.loads(lines[0]) != {"after": after}:
                return {}
            for line in lines[1:]:
                row = json.loads(line)
                log[row["frame"]] = values.decode(row["events"])
        except (OSError, ValueError, KeyError):
            pass
        return log

    def end(self, id: str) -> None:
        """Removes what is kept of a running session."""
        if id in self._journals:
            self._journals.pop(id).close()
        for suffix in (".npz", ".journal"):
            self._path(id, suffix).unlink(missing_ok=True)

    def forget(self, seconds: float) -> None:
        """Removes running sessions that were last stored so many seconds ago."""
        for path in (self.folder / "open").iterdir():
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the journals; what is stored stays."""
        for file in self._journals.values():
            file.close()
        self._journals.clear()

    # Saved sessions

    def names(self) -> list[str]:
        """Names of the saved sessions, the newest first."""
        files = sorted((self.folder / "saved").glob("*.npz"), key=lambda path: -path.stat().st_mtime)
        return [path.stem for path in files]

    def save(self, name: str, seed: int, point: Point) -> None:
        """Saves a point by name, in place of one of that name. Raises StoreError for a name that is none, or too many."""
        path = self._saved(name)
        if not path.exists() and len(self.names()) >= SAVED_MOST:
            raise StoreError(
                f"save: there are {SAVED_MOST} saved sessions, as many as are kept; delete some in {path.parent}"
            )
        self._write(path, seed, point)

    def open(self, name: str) -> tuple[int, Point]:
        """(seed, point) of a saved session. Raises StoreError where there is none, or it is of another machine."""
        path = self._saved(name)
        if not path.exists():
            raise StoreError(f"open: no session is saved as {name!r}; there are {', '.join(self.names()) or 'none'}")
        return self._read(path)

    def _saved(self, name: str) -> Path:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise StoreError(f"name={str(name)[:50]!r}: up to 40 letters, digits, blanks, and + - . after the first")
        return self.folder / "saved" / f"{name}.npz"

    def _path(self, id: str, suffix: str = ".npz") -> Path:
        return self.folder / "open" / f"{id}{suffix}"

    def _write(self, path: Path, seed: int, point: Point) -> None:
        meta = {"format": FORMAT, "version": self.version, "seed": seed, "moment": values.encode(point.moment)}
        leaves = {name: _bytes(leaf) for name, leaf in _named(point.state).items()}
        with replacing(path) as partial:
            np.savez(partial, allow_pickle=False, meta=np.asarray(json.dumps(meta)), **leaves)

    def _read(self, path: Path) -> tuple[int, Point]:
        """Raises StoreError."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
            meta = json.loads(str(arrays.pop("meta")))
            if (meta["format"], meta["version"]) != (FORMAT, self.version):
                raise StoreError(f"open: {path.stem} is a session of another machine (version {meta['version'][:12]})")
            leaves, structure = jax.tree.flatten(self.like)
            names = list(_named(self.like))
            state = [_like(arrays[name], leaf) for name, leaf in zip(names, leaves, strict=True)]
            return int(meta["seed"]), Point(values.decode(meta["moment"]), jax.tree.unflatten(structure, state))
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"open: {path.stem} cannot be read ({first_line(error)})") from error


def _named(state: State) -> dict[str, Any]:
    """Leaves of a state by path."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in jax.tree.leaves_with_path(state)
    }


def _bytes(leaf: Any) -> np.ndarray:
    """An array as npz holds it: bfloat16 and the like as bytes."""
    array = np.asarray(leaf)
    return array if array.dtype.kind in "biuf" else np.ascontiguousarray(array).view(np.uint8)


def _like(stored: np.ndarray, leaf: Any) -> np.ndarray:
    """The array again, of the shape and type of `leaf`. Raises StoreError for another shape."""
    own = np.asarray(leaf)
    array = stored if stored.dtype == own.dtype else stored.view(own.dtype)
    if array.shape != own.shape:
        raise StoreError(f"open: an array of {array.shape} is stored, this machine's is {own.shape}")
    return array
