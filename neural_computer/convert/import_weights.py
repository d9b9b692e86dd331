"""Published weights as Orbax checkpoints."""

import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from neural_computer.convert import store
from neural_computer.convert.sources import Source
from neural_computer.models import weights
from neural_computer.models.weights.rules import Table
from neural_computer.sharding import path_of
from neural_computer.train.checkpoint import read_json

NOTE = "network.json"
"""In a network's folder from the moment it is whole: what it is and what it was made of."""


@dataclass(frozen=True)
class Plan:
    """A network to convert, checked."""

    source: Source
    fmt: str
    table: Table
    report: weights.Report
    dtype: np.dtype

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        tree = weights.parameters(self.table.network, self.table.config)
        return {path_of(keys): leaf.shape for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}

    @property
    def preset(self) -> dict[str, Any]:
        """What preset.json says of it."""
        return {
            "config": dict(self.table.config),
            "depth": self.table.depth,
            "format": self.fmt,
            "files": self.source.files,
            "dtype": self.dtype.name,
            "parameters": sum(int(np.prod(shape)) for shape in self.shapes.values()),
        } | ({"fixed": self._fixed} if self._fixed else {})

    @property
    def _fixed(self) -> dict[str, list[float]]:
        """The source's own mean and std of latents, where they differ from the published; a config's of another number of
        channels are nobody's."""
        published = weights.fixed(self.table.network, {"config": self.table.config})
        own = {name: x for name, x in self.source.fixed.items() if len(x) == len(published.get(name, ()))}
        same = all(np.array_equal(published[name], np.asarray(x, np.float32)) for name, x in own.items())
        return {} if same else own

    @property
    def keys(self) -> dict[str, Any]:
        """What keys.json says of it."""
        report, shapes = self.report, self.source.shapes
        there = weights.diffusers_shapes(self.table, self.fmt, shapes)
        return {"used": report.used, "unused": report.unused, "missing": report.missing, "diffusers": there}


def plan(found: list[Source], dtype: str | None, heads: int | None) -> list[Plan]:
    """What is to be done, before anything is written. Raises ValueError for files that make no network, or one twice."""
    plans: dict[str, Plan] = {}
    for source in found:
        try:
            fmt, table = weights.detect(source.shapes, heads or source.heads)
            report = weights.check(table, fmt, source.shapes)
            report.demand()
            kept = source.dtype(report.used)
        except ValueError as error:
            raise ValueError(f"{source.place}: {error}") from None
        if table.network in plans:
            other = plans[table.network].source.place
            raise ValueError(f"{source.place}: holds a {table.network}, and so does {other}; convert one of them alone")
        plans[table.network] = Plan(source, fmt, table, report, np.dtype(dtype) if dtype else kept)
    return list(plans.values())


def write(plans: list[Plan], tokenizer: Path | None, output: Path) -> None:
    """Makes the converted folder; what is there and whole already stays. preset.json comes last."""
    for plan in plans:
        name, folder = plan.table.network, output / plan.table.network
        if already(folder, plan.preset):
            print(f"{folder}: is there already")
            continue
        _write_network(plan, folder)
        print(
            f"{folder}: {plan.preset['parameters'] / 1e6:,.1f} million parameters, {plan.dtype}, from {plan.source.place}"
        )
        if plan.report.unused:
            print(f"{folder}: {len(plan.report.unused)} keys are of no use to the {name}; keys.json names them")
    if tokenizer is not None:
        copy_tokenizer(tokenizer, output)
    made = [name for name in weights.NETWORKS if (output / name / NOTE).exists()]
    notes = {name: read_json(output / name / NOTE) for name in made}
    for part in ("keys", "preset"):
        write_json(output / f"{part}.json", {name: note[part] for name, note in notes.items()})


def copy_tokenizer(folder: Path, output: Path) -> None:
    """Copies a tokenizer to `output`, unless there is none to copy or one there."""
    if folder.is_dir() and not (output / "tokenizer").exists():
        shutil.copytree(folder, output / "tokenizer.partial", dirs_exist_ok=True)
        (output / "tokenizer.partial").rename(output / "tokenizer")


def already(folder: Path, preset: dict[str, Any]) -> bool:
    """Is this very network there and whole? Raises ValueError where another one is."""
    if not folder.exists():
        return False
    note = folder / NOTE
    before = read_json(note)["preset"] if note.exists() else {}
    # JSON makes lists of tuples.
    if before != json.loads(json.dumps(preset)):
        raise ValueError(f"{folder}: holds something else; give another --out or delete it")
    return True


def _write_network(plan: Plan, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    store.create(partial, list(plan.shapes))
    path, array = "", None
    total = sum(int(np.prod(shape)) for shape in plan.shapes.values()) * plan.dtype.itemsize
    with tqdm(total=total, desc=plan.table.network, unit="B", unit_scale=True, dynamic_ncols=True) as bar:
        for new_path, block, piece in weights.pieces(plan.table, plan.fmt, plan.source.get):
            if new_path != path:
                path = new_path
                array = store.new_array(partial, path, plan.shapes[path], plan.dtype, stacked=block is not None)
            assert array is not None  # the first piece has a path
            place = array if block is None else array[block]
            place.write(piece.astype(plan.dtype, copy=False)).result()
            bar.update(piece.size * plan.dtype.itemsize)
    write_json(partial / NOTE, {"preset": plan.preset, "keys": plan.keys})
    os.sync()
    partial.rename(folder)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)
