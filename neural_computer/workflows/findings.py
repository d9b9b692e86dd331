"""What an experiment of several arms is made of: arms, their results on disk, and claims that results decide."""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from neural_computer.evals.estimates import Estimate

PACKAGE = Path(__file__).resolve().parents[1]
SIZES = ("tiny", "micro", "small", "paper")
ROOMS_APART = ("launch", "recording", "machine", "workflows")
"""Of the code a result depends on: what makes data is in the data's flags, programs and bookkeeping compute nothing"""


class Arm(NamedTuple):
    """One way of training, as one finding compares it with others.

    `data` are flags of prepare_data, without --out; `measure` is an entry of `measures.MEASURES`.
    """

    says: str
    config: ConfigDict
    data: tuple[str, ...]
    seeds: int
    measure: str = "rollouts"


@dataclass(frozen=True)
class Claim:
    """A direction, in words, and whether results bear it out: None where some that it needs are missing."""

    says: str
    holds: Callable[["Results"], bool | None]


@dataclass(frozen=True)
class Finding:
    """An experiment. `arm(name, size)` makes an arm; `paper` has the paper's figures, a row an arm, and `source` where they
    stand; `columns` are the metrics of the page's table, with their headings; `differs` says what is not as in the paper."""

    name: str
    title: str
    arms: Mapping[str, str]
    arm: Callable[[str, str], Arm]
    claims: Sequence[Claim]
    paper: Sequence[Mapping[str, Any]] = ()
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    differs: Sequence[str] = ()
    curves: Sequence[str] = ()

    @classmethod
    def of(cls, module: Any) -> "Finding":
        """The finding of a module of configs.findings."""
        return cls(
            name=module.__name__.rpartition(".")[2],
            title=module.TITLE,
            arms=module.ARMS,
            arm=module.arm,
            claims=module.CLAIM,
            paper=module.PAPER,
            source=module.SOURCE,
            columns=module.COLUMNS,
            differs=module.DIFFERS,
            curves=getattr(module, "CURVES", ()),
        )


# Results


@dataclass(frozen=True)
class Result:
    """What one arm gave with one seed."""

    arm: str
    seed: int
    content: Mapping[str, Any]

    def metric(self, name: str) -> Estimate | None:
        """An estimate of the result; None where it has none of that name."""
        value = self.content["metrics"].get(name)
        return None if value is None else Estimate(**value)


@dataclass(frozen=True)
class Results:
    """The results of a finding at one size."""

    every: Sequence[Result]

    @classmethod
    def load(cls, folder: Path, arms: Sequence[str]) -> "Results":
        """Those in a folder, in the order of the arms. Raises ValueError, naming it, for a damaged file."""
        found = []
        for path in sorted(folder.glob("*.json")):
            arm, _, seed = path.stem.rpartition("-")
            if arm in arms and seed.isdigit():
                try:
                    found.append(Result(arm, int(seed), json.loads(path.read_text())))
                except ValueError as error:
                    raise ValueError(f"{path}: is no JSON ({error}); delete it and run its arm again") from error
        return cls(sorted(found, key=lambda result: (list(arms).index(result.arm), result.seed)))

    def of(self, arm: str) -> list[Result]:
        return [result for result in self.every if result.arm == arm]

    def values(self, arm: str, metric: str) -> list[Estimate]:
        """Estimates of a metric, one a seed."""
        return [e for result in self.of(arm) if (e := result.metric(metric)) is not None]

    def mean(self, arm: str, metric: str) -> float | None:
        """Over seeds; None without any."""
        values = [e.value for e in self.values(arm, metric)]
        return float(np.mean(values)) if values else None

    def interval(self, arm: str, metric: str) -> tuple[float, float] | None:
        """From the least lower to the largest upper end of the seeds' intervals over clips."""
        values = self.values(arm, metric)
        return (min(e.low for e in values), max(e.high for e in values)) if values else None

    def above(self, higher: tuple[str, str], lower: tuple[str, str]) -> bool | None:
        """Whether one (arm, metric) is above another in every seed, their intervals not crossing; None where one is missing."""
        ends = self.interval(*higher), self.interval(*lower)
        return None if ends[0] is None or ends[1] is None else ends[0][0] > ends[1][1]

    def curve(self, arm: str, name: str) -> dict[int, list[float]]:
        """{step: values, one a seed} of what was measured during training."""
        points: dict[int, list[float]] = {}
        for result in self.of(arm):
            for step, value in result.content.get("curves", {}).get(name, []):
                points.setdefault(int(step), []).append(value)
        return points


def every(*holds: bool | None) -> bool | None:
    """Whether all hold; None if none fails and some cannot be said."""
    return False if False in holds else None if None in holds else True


# What a result depends on


def digest(config: ConfigDict, data: Sequence[str], measure: str, seed: int) -> str:
    """Hash of what a training is asked to do, by which arms that ask for the same share it."""
    asked = [json.loads(config.to_json(sort_keys=True)), list(data), measure, seed]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def code_files() -> list[str]:
    """Files of this library that are loaded now and compute something, relative to its folder."""
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {Path(file).resolve() for file in loaded if file}
    inside = {path.relative_to(PACKAGE).as_posix() for path in paths if path.is_relative_to(PACKAGE)}
    measures = "workflows/measures.py"
    return sorted(path for path in inside if path == measures or path.split("/")[0] not in ROOMS_APART)


def code_digest(files: Sequence[str]) -> str:
    """Hash of what some files of the library do: their syntax without comments and docstrings. "" for a file that is gone."""
    hashed = hashlib.sha256()
    for name in files:
        path = PACKAGE / name
        if not path.exists():
            return ""
        hashed.update(f"{name} {_syntax(path)}".encode())
    return hashed.hexdigest()[:16]


@cache
def _syntax(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: Any) -> bool:
    """A docstring, of a thing or of a field."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
