"""Runs a suite: neural-computer bench --suite=core --out=DIR

Each case times ours and a peer in turns, in one process, and reports medians and their ratio: on a shared machine only
the ratio means something. A ratio above 1 is in our favour, for figures of which less is better too. Writes
DIR/SUITE.json and SUITE.html.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer import report
from neural_computer.launch import errors
from neural_computer.launch.bench import core, data, evals, gui, live, models, streaming
from neural_computer.launch.bench.case import Case, Figure
from neural_computer.launch.flags import Flags

SUITES: dict[str, Callable[[], Iterable[Case | Figure]]] = {
    "core": core.cases,
    "data": data.cases,
    "evals": evals.cases,
    "gui": gui.cases,
    "live": live.cases,
    "models": models.cases,
    "streaming": streaming.cases,
}
PEAK = 989e12
"""Operations a second of an H100 or H200 in bfloat16, dense."""

FLAGS = Flags()
SUITE = FLAGS.part(
    "suite", dict.fromkeys(SUITES, Flags()) | {"data": data.FLAGS, "models": models.FLAGS}, "core", "What to measure."
)
REPEATS = FLAGS.integer("repeats", 9, "Timed turns a case.", lower_bound=1)
OUT = FLAGS.out(default="runs/bench")

CAPTION = (
    "Medians; a ratio above 1 is in our favour; turns: lowest and highest ratio; apart: difference of the results."
)


def main(argv: list[str]) -> None:
    del argv
    cases = tqdm(SUITES[SUITE.value](), desc=SUITE.value, unit="case")
    rows = [measure(case, REPEATS.value) if isinstance(case, Case) else compare(case) for case in cases]
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{SUITE.value}.json").write_text(json.dumps(rows, indent=2) + "\n")
    report.Page(f"Benchmark: {SUITE.value}").table(rows, CAPTION).save(out / f"{SUITE.value}.html")
    print(report.text_table([{key: value for key, value in row.items() if key != "why"} for row in rows]))
    for why in dict.fromkeys(row["why"] for row in rows if "why" in row):
        print(f"below 1: {why}")


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Median rates of ours and the peer, each warmed up once, then timed in turns, and how far single turns' ratios went."""
    runs = {"ours": case.ours} | ({"peer": case.peer} if case.peer else {})
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            rates[name].append(case.amount / (time.perf_counter() - begin))
    medians = {name: statistics.median(rate) for name, rate in rates.items()}
    row = row_of(case, medians["ours"], medians.get("peer"), medians["ours"] / medians["peer"] if case.peer else None)
    if case.peer:
        ratios = [ours / peer for ours, peer in zip(rates["ours"], rates["peer"], strict=True)]
        row["turns"] = f"{min(ratios):.2f}-{max(ratios):.2f}"
    if case.apart is not None:
        row["apart"] = f"{case.apart:.0e}"
    if case.flops:
        shares = {f"MFU {name}": f"{rate / case.amount * case.flops / PEAK:.1%}" for name, rate in medians.items()}
        row |= {"seconds": case.amount / medians["ours"]} | shares
    return row


def compare(figure: Figure) -> dict[str, Any]:
    """A figure's row; its ratio is peer / ours, since less is better."""
    return row_of(figure, figure.ours, figure.peer, figure.peer / figure.ours)


def row_of(case: Case | Figure, ours: float, peer: float | None, ratio: float | None) -> dict[str, Any]:
    """The columns of every row; the reason why ours is slower only where it is."""
    row = {"case": case.name, "unit": case.unit, "ours": ours, "peer": peer, "ratio": ratio, "against": case.against}
    return row | ({"why": case.why} if case.why and ratio is not None and ratio < 1 else {})


if __name__ == "__main__":
    errors.run(main, FLAGS)
