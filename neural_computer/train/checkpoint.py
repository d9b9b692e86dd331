"""Checkpoints that count only if they restore."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.sharding import SingleDeviceSharding

from neural_computer.errors import Error, first_line
from neural_computer.files import replacing
from neural_computer.formats import FORMAT, check_format
from neural_computer.sharding import path_of
from neural_computer.types import PyTree


class CheckpointError(Error, RuntimeError):
    """A checkpoint could not be saved or used; the message names the place, the rule and the way out."""


class Checkpoints:
    """The checkpoints of one directory: a state and a JSON note a step, the newest `keep` of them kept."""

    def __init__(self, directory: str | Path, keep: int = 2):
        self.directory = Path(directory).absolute()
        self.keep = keep
        self._open()

    def _open(self) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self.keep, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """The steps on disk, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: PyTree, note: Mapping[str, Any]) -> None:
        """Writes step `step`, then retires the oldest. Raises CheckpointError when the disk refuses."""
        note = {**note, "format": FORMAT, "architecture": architecture(state)}
        try:
            self._manager.save(
                step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), note=ocp.args.JsonSave(note))
            )
            self._manager.wait_until_finished()
        except Exception as error:
            raise CheckpointError(
                f"{self.directory}/{step}: could not be saved ({_short(error)}; {_free(self.directory)} free). Earlier "
                "checkpoints are intact: make room and give the same command again"
            ) from error

    def restore(
        self, like: PyTree, shardings: PyTree | None = None, only: str | None = None
    ) -> tuple[int, PyTree, dict] | None:
        """(step, state, note) of the newest checkpoint that restores into `like`'s shapes, or None if there is none.

        The state is placed by `shardings`, or on this process's first device, wherever it was saved.
        `only` names the one field of a state that is read, and returned: what runs needs neither moments nor a second copy.
        A damaged one is named, set aside and the next older one is tried. Raises CheckpointError if none restores or
        one is of another architecture.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                note = self.note(step)
                saved = note["architecture"]
            except Exception as error:
                self._set_aside(step, error)
                continue
            check_format(note.get("format"), f"{self.directory}/{step}")
            self._compare(step, saved, architecture(like))
            try:
                return step, self._restore(step, like, shardings, only), note
            except Exception as error:
                self._set_aside(step, error)
        if steps:
            raise CheckpointError(
                f"{self.directory}: none of its checkpoints ({', '.join(map(str, steps))}) restores; they are set aside "
                f"in {self._aside()}. Give the same command again to begin anew"
            )
        return None

    def note(self, step: int) -> dict:
        """The JSON note saved with a step."""
        return self._manager.restore(step, args=ocp.args.Composite(note=ocp.args.JsonRestore())).note

    def _restore(self, step: int, like: PyTree, shardings: PyTree | None, only: str | None) -> PyTree:
        def abstract(leaf, at):
            return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=at)

        if shardings is None:  # never those it was saved with: the devices of a pod are not here
            one = SingleDeviceSharding(jax.local_devices()[0])
            shardings = jax.tree.map(lambda _: one, like)
        target = jax.tree.map(abstract, like, shardings)
        if only is None:
            return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))).state
        part = {only: getattr(target, only)}
        how = ocp.checkpoint_utils.construct_restore_args(part)
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            request = ocp.args.PyTreeRestore(item=part, restore_args=how, partial_restore=True)
            return reader.restore(self.directory / str(step) / "state", args=request)[only]

    def _compare(self, step: int, saved: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        for path in sorted(set(saved) | set(wanted)):
            if saved.get(path) != wanted.get(path):
                raise CheckpointError(
                    f"{self.directory}/{step}: of another architecture: {path} is {saved.get(path, 'absent')} there and "
                    f"{wanted.get(path, 'absent')} in this config; use the config it was trained with, or a new workdir"
                )

    def _aside(self) -> Path:
        return self.directory.with_name(self.directory.name + "_damaged")

    def _set_aside(self, step: int, error: Exception) -> None:
        logging.warning("%s/%s: damaged (%s); using the next older checkpoint", self.directory, step, _short(error))
        self._manager.close()
        if jax.process_index() == 0:
            self._aside().mkdir(exist_ok=True)
            shutil.rmtree(self._aside() / str(step), ignore_errors=True)
            shutil.move(self.directory / str(step), self._aside() / str(step))
        self._open()

    def close(self) -> None:
        self._manager.close()


def architecture(tree: PyTree) -> dict[str, str]:
    """What two states must share to be exchangeable: every leaf's path, dtype and shape."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_of(keys): f"{leaf.dtype}{list(np.shape(leaf))}" for keys, leaf in leaves}


def _short(error: Exception) -> str:
    """The first line of an error, or of the disk error beneath it."""
    beneath = [e for e in _causes(error) if isinstance(e, OSError) or "No space left" in str(e)]
    return first_line(beneath[-1] if beneath else error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _free(path: Path) -> str:
    return f"{shutil.disk_usage(path if path.exists() else path.parent).free / 2**20:,.0f} MiB"


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A flat dict of arrays as one .npz file, written whole or not at all."""
    with replacing(path) as partial:
        np.savez(partial, allow_pickle=False, **{name: np.asarray(value) for name, value in arrays.items()})


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `save_arrays`. Raises CheckpointError for a file that does not hold arrays."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(
            f"{path}: does not hold arrays ({_short(error)}); delete it to have it made again"
        ) from error


def read_json(path: Path) -> Any:
    """The JSON value in a file. Raises CheckpointError with the place of the fault."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({_short(error)})") from error
