"""Runs a suite: python -m launch.bench --suite=core --out=DIR

Each case times ours and a peer in turns, in one process, and reports medians and their ratio: on a shared machine only
the ratio means something. Writes DIR/SUITE.json and SUITE.html.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from launch import faults
from launch.bench import core
from launch.bench.case import Case
from neural_computer import page

SUITES: dict[str, Callable[[], list[Case]]] = {"core": core.cases}

SUITE = flags.DEFINE_enum("suite", "core", list(SUITES), "What to measure.")
REPEATS = flags.DEFINE_integer("repeats", 9, "Timed turns a case.", lower_bound=1)
OUT = flags.DEFINE_string("out", "runs/bench", "Where the results go.")


def main(argv: list[str]) -> None:
    del argv
    rows = [measure(case, REPEATS.value) for case in tqdm(SUITES[SUITE.value](), desc=SUITE.value, unit="case")]
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{SUITE.value}.json").write_text(json.dumps(rows, indent=2) + "\n")
    page.Page(f"Benchmark: {SUITE.value}").table(rows, "Medians; ratio = ours / peer.").save(
        out / f"{SUITE.value}.html"
    )
    print(page.plain(rows))


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Median rates of ours and the peer, each warmed up once, then timed in turns."""
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    case.ours(), case.peer()
    for _ in range(repeats):
        for name, run in (("ours", case.ours), ("peer", case.peer)):
            begin = time.perf_counter()
            run()
            rates[name].append(case.amount / (time.perf_counter() - begin))
    ours, peer = (statistics.median(rates[name]) for name in ("ours", "peer"))
    return {
        "case": case.name,
        "unit": case.unit,
        "ours": ours,
        "peer": peer,
        "ratio": ours / peer,
        "against": case.against,
    }


if __name__ == "__main__":
    faults.run(main)
