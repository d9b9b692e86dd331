"""Published weights to Orbax checkpoints: checks every key, then converts a tensor at a time."""

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
from neural_computer.convert.sources import WeightSource
from neural_computer.files import write_whole
from neural_computer.models import weights
from neural_computer.models.weights.rules import KeyTable
from neural_computer.sharding import path_of
from neural_computer.train.checkpoint import read_json

NOTE = "network.json"
"""Written last into a network's folder: its preset and its keys."""


@dataclass(frozen=True)
class ConversionPlan:
    """A network to convert, checked."""

    source: WeightSource
    fmt: str
    table: KeyTable
    report: weights.KeyReport
    dtype: np.dtype

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        tree = weights.parameters(self.table.network, self.table.config)
        return {path_of(keys): leaf.shape for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}

    @property
    def preset(self) -> dict[str, Any]:
        """Its entry in preset.json."""
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
        """The source's own mean and std of latents, if they differ from the published ones; those of another number of
        channels do not count."""
        published = weights.fixed(self.table.network, {"config": self.table.config})
        own = {name: x for name, x in self.source.fixed.items() if len(x) == len(published.get(name, ()))}
        same = all(np.array_equal(published[name], np.asarray(x, np.float32)) for name, x in own.items())
        return {} if same else own

    @property
    def keys(self) -> dict[str, Any]:
        """Its entry in keys.json."""
        report, shapes = self.report, self.source.shapes
        diffusers = weights.diffusers_shapes(self.table, self.fmt, shapes)
        return {"used": report.used, "unused": report.unused, "missing": report.missing, "diffusers": diffusers}


def plan(sources: list[WeightSource], dtype: str | None, heads: int | None) -> list[ConversionPlan]:
    """Plans the conversion of networks; writes nothing. Raises ValueError for unsupported files and for one network twice."""
    plans: dict[str, ConversionPlan] = {}
    for source in sources:
        try:
            fmt, table = weights.detect(source.shapes, heads or source.heads)
            report = weights.check(table, fmt, source.shapes)
            report.require_complete()
            own = source.dtype(report.used)
        except ValueError as error:
            raise ValueError(f"{source.place}: {error}") from None
        if table.network in plans:
            other = plans[table.network].source.place
            raise ValueError(f"{source.place}: holds a {table.network}, and so does {other}; convert one of them alone")
        plans[table.network] = ConversionPlan(source, fmt, table, report, np.dtype(dtype) if dtype else own)
    return list(plans.values())


def write(plans: list[ConversionPlan], tokenizer: Path | None, output: Path) -> None:
    """Writes the converted folder; networks that are complete already stay. preset.json comes last."""
    for plan in plans:
        name, folder = plan.table.network, output / plan.table.network
        if is_complete(folder, plan.preset):
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
    complete = [name for name in weights.NETWORKS if (output / name / NOTE).exists()]
    notes = {name: read_json(output / name / NOTE) for name in complete}
    for part in ("keys", "preset"):
        write_json(output / f"{part}.json", {name: note[part] for name, note in notes.items()})


def copy_tokenizer(folder: Path, output: Path) -> None:
    """Copies a tokenizer to `output`, if there is one and `output` has none."""
    if folder.is_dir() and not (output / "tokenizer").exists():
        shutil.copytree(folder, output / "tokenizer.partial", dirs_exist_ok=True)
        (output / "tokenizer.partial").rename(output / "tokenizer")


def is_complete(folder: Path, preset: dict[str, Any]) -> bool:
    """Whether this network is in the folder, complete. Raises ValueError if another one is."""
    if not folder.exists():
        return False
    note = folder / NOTE
    before = read_json(note)["preset"] if note.exists() else {}
    # JSON makes lists of tuples.
    if before != json.loads(json.dumps(preset)):
        raise ValueError(f"{folder}: holds something else; give another --out or delete it")
    return True


def _write_network(plan: ConversionPlan, folder: Path) -> None:
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
            target = array if block is None else array[block]
            target.write(piece.astype(plan.dtype, copy=False)).result()
            bar.update(piece.size * plan.dtype.itemsize)
    write_json(partial / NOTE, {"preset": plan.preset, "keys": plan.keys})
    os.sync()
    partial.rename(folder)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that is never seen half written."""
    write_whole(path, json.dumps(value, indent=1) + "\n")
