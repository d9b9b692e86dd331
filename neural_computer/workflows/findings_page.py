"""The page of the findings: ours beside the paper's figures, whether the claimed directions hold, and what is missing.

Everything on it comes from the results' files; the same files give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer import report
from neural_computer.workflows import findings
from neural_computer.workflows.findings import Finding, Result, Results
from neural_computer.workflows.reproduce import Run

BEGIN, END = "<!-- findings: written by `neural-computer report` -->", "<!-- end of findings -->"
STALE = "stale"
HEAD = """# The paper's findings, reproduced

Written by `neural-computer report` from the files in `results/`; `neural-computer reproduce --finding=f06` makes them anew.

The paper's ten experiments at a size that two CPU cores carry, beside its figures, with the controls that it lacks. A value
is the mean over seeds; in brackets stand the widest ends of the seeds' 95 % intervals (bootstrap over clips); ± is the
standard deviation over seeds. A direction holds if those intervals do not cross.
"""


def state(finding: Finding, result: Result, size: str) -> str:
    """ "" for a result of today's config and code, else why it is stale."""
    if result.content.get("asked") != Run(finding, result.arm, result.seed).digest(size):
        return "of another config"
    code = result.content["code"]
    return "" if findings.code_digest(code["files"]) == code["hash"] else "of other code"


def stale(finding: Finding, results: Results, size: str) -> dict[str, list[str]]:
    """Arms that have stale results, with the reasons."""
    out: dict[str, list[str]] = {}
    for result in results.every:
        if why := state(finding, result, size):
            out.setdefault(result.arm, []).append(f"seed {result.seed} is {why}")
    return out


def missing(finding: Finding, results: Results, size: str) -> list[str]:
    """Arms that lack results, with how many of how many there are."""
    out = []
    for name in finding.arms:
        wanted, found = finding.arm(name, size).seeds, len(results.of(name))
        if found < wanted:
            out.append(f"{name} ({found} of {wanted})" if found else name)
    return out


def rows(finding: Finding, results: Results, size: str) -> list[dict[str, str]]:
    """The table of ours, a row an arm that has results."""
    old = stale(finding, results, size)
    out = []
    for name in finding.arms:
        if results.of(name):
            row = {"arm": name + (f" ({STALE})" if name in old else ""), "seeds": str(len(results.of(name)))}
            row |= {heading: cell(results, name, metric) for metric, heading in finding.columns.items()}
            out.append(row)
    return out


def cell(results: Results, arm: str, metric: str) -> str:
    """A mean with its interval and spread; "" for a metric that the arm has not."""
    values = [e.value for e in results.values(arm, metric)]
    interval = results.interval(arm, metric)
    if not values or interval is None:
        return ""
    spread = f" ± {number(float(np.std(values)))}" if len(values) > 1 else ""
    return f"{number(float(np.mean(values)))}{spread} [{number(interval[0])}, {number(interval[1])}]"


def number(value: float) -> str:
    """Three decimals below 10, else two."""
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def claim_status(finding: Finding, claim: findings.Claim, results: Results, size: str) -> str:
    """Whether a claim holds, in words; so far, where some seeds of the finding's arms are missing."""
    words = {True: "holds", False: "does not hold", None: "cannot be said yet"}[claim.holds(results)]
    return f"{words} so far" if missing(finding, results, size) and claim.holds(results) is not None else words


def section(finding: Finding, results: Results, size: str) -> str:
    """A finding's part of the page."""
    parts = [f"## {finding.name[1:].lstrip('0')}. {finding.title}", ""]
    parts += [f"- **{claim_status(finding, claim, results, size)}**: {claim.says}" for claim in finding.claims]
    parts += ["", *table(rows(finding, results, size))]
    if lacking := missing(finding, results, size):
        parts += ["", f"Not run yet: {', '.join(lacking)}."]
    for arm, reasons in stale(finding, results, size).items():
        parts += ["", f"{STALE.capitalize()}: {arm}, {'; '.join(reasons)}."]
    parts += ["", "Arms: " + "; ".join(f"`{name}`, {says}" for name, says in finding.arms.items()) + "."]
    if finding.paper:
        parts += ["", f"The paper ({finding.source}):", "", *table(finding.paper)]
    else:
        parts += ["", f"The paper: {finding.source}."]
    parts += ["", "What differs from the paper:", "", *(f"- {each}" for each in finding.differs)]
    parts += ["", f"    neural-computer reproduce --finding={finding.name}", ""]
    return "\n".join(parts)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table in Markdown; its columns are the keys of all rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not rows:
        return ["No results yet."]
    cells = [[report.format_cell(row.get(column)) for column in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *cells)]


def markdown(every: Sequence[Finding], folder: Path, size: str) -> str:
    """The whole page. Raises ValueError for a damaged result."""
    parts = [HEAD, *table(summary(every, folder, size)), ""]
    parts += [section(finding, load(finding, folder, size), size) for finding in every]
    parts.append(cost(every, folder, size))
    return "\n".join(parts)


def load(finding: Finding, folder: Path, size: str) -> Results:
    return Results.load(folder / size / finding.name, list(finding.arms))


def summary(every: Iterable[Finding], folder: Path, size: str) -> list[dict[str, str]]:
    """A row a finding: its claims, and how many hold. The README's table."""
    out = []
    for finding in every:
        results = load(finding, folder, size)
        said = [claim_status(finding, claim, results, size) for claim in finding.claims]
        counts = ", ".join(f"{said.count(word)} {word}" for word in dict.fromkeys(said))
        title = finding.title + (f" ({STALE})" if stale(finding, results, size) else "")
        runs = sum(finding.arm(name, size).seeds for name in finding.arms)
        out.append({"finding": f"{finding.name}: {title}", "claims": counts, "runs": f"{len(results.every)} of {runs}"})
    return out


def cost(every: Iterable[Finding], folder: Path, size: str) -> str:
    """What the results took, trainings that are shared counted once."""
    seconds: dict[tuple[str, int], float] = {}
    machines = set()
    for finding in every:
        for result in load(finding, folder, size).every:
            seconds[result.content["asked"], result.seed] = result.content["cpu_seconds"]
            machines.add(result.content["hardware"])
    hours = sum(seconds.values()) / 3600
    return f"{len(seconds)} trainings, {hours:.1f} CPU hours in all ({'; '.join(sorted(machines)) or 'nothing yet'}).\n"


def readme(text: str, every: Iterable[Finding], folder: Path, size: str) -> str:
    """The README with its table of findings written anew. Raises ValueError for one without the two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: has no place for the table; put {BEGIN} and {END} there, a line each")
    return "\n".join([before + BEGIN, "", *table(summary(every, folder, size)), "", END + after])


def html(every: Sequence[Finding], folder: Path, size: str) -> report.Page:
    """The same with curves and strips."""
    from PIL import Image

    page = report.Page("The paper's findings, reproduced").table(summary(every, folder, size))
    for finding in every:
        results = load(finding, folder, size)
        page.heading(f"{finding.name}: {finding.title}")
        page.table(
            [{"claim": claim.says, "it": claim_status(finding, claim, results, size)} for claim in finding.claims]
        )
        page.table(rows(finding, results, size), "Mean over seeds ± standard deviation [95 % interval over clips].")
        page.table(finding.paper, f"The paper: {finding.source}.")
        for curve in finding.curves:
            lines = {arm: results.curve(arm, curve) for arm in finding.arms}
            shown = {
                arm: (list(points), [float(np.mean(v)) for v in points.values()])
                for arm, points in lines.items()
                if points
            }
            if shown:
                page.curve(shown, f"{curve} on held-out clips during training, mean over seeds.", "step", curve)
        for arm in finding.arms:
            path = folder / size / finding.name / f"{arm}-0.png"
            if path.exists():
                page.image(np.asarray(Image.open(path).convert("RGB")), f"{arm}: {finding.arms[arm]}")
        for line in finding.differs:
            page.text(f"Differs: {line}")
    return page.text(cost(every, folder, size))
