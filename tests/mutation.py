"""Would the tests notice? Changes one operator, comparison or constant of a module at a time and runs the module's tests.

    python -m tests.mutation [MODULE ...] [--most=N] [--seed=N]

A module is a path such as neural_computer/flow.py; without one, all of `TARGETS`. Prints the share of mutants that the tests
kill, and every one that survives. A mutant lives in a copy of the tree, so an interrupted run leaves nothing behind.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "neural_computer"
TARGETS = {
    f"{PACKAGE}/flow.py": ["tests/test_flow.py"],
    f"{PACKAGE}/actions/align.py": ["tests/actions/test_align.py"],
    f"{PACKAGE}/actions/cursor.py": ["tests/actions/test_cursor.py"],
    f"{PACKAGE}/actions/encode.py": ["tests/actions/test_encode.py"],
    f"{PACKAGE}/actions/schema/frames.py": ["tests/actions/test_schema.py"],
    f"{PACKAGE}/actions/schema/log.py": ["tests/actions/test_schema.py"],
    f"{PACKAGE}/models/linear_codec.py": ["tests/models/test_linear_codec.py"],
    f"{PACKAGE}/models/injection.py": ["tests/models/test_injection.py"],
    f"{PACKAGE}/models/attention.py": ["tests/models/test_attention.py"],
    **{
        f"{PACKAGE}/evals/{name}.py": [f"tests/evals/test_{name}.py"]
        for name in ("pixels", "text", "frames", "frechet", "cursor_metrics", "tasks", "estimates")
    },
    f"{PACKAGE}/train/objective.py": ["tests/train/test_objective.py"],
    f"{PACKAGE}/train/optim.py": ["tests/train/test_update.py", "tests/test_configs.py"],
    f"{PACKAGE}/data/windows.py": ["tests/data"],
    f"{PACKAGE}/data/pipeline.py": ["tests/data"],
}
SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, what changed, source) of every mutant of a module, outside annotations, decorators and docstrings."""
    tree = ast.parse(source)
    skipped = {id(inner) for node in ast.walk(tree) for part in spared(node) for inner in ast.walk(part)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for what, change in changes(node):
            other = copy.deepcopy(tree)
            change(next(twin for i, twin in enumerate(ast.walk(other)) if i == number))
            yield getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(other))


def spared(node: ast.AST) -> list[ast.AST]:
    """Annotations and decorators (frozen=True): a change there is no change of what is computed."""
    annotations = [getattr(node, name, None) for name in ("annotation", "returns")]
    return [part for part in annotations if isinstance(part, ast.AST)] + getattr(node, "decorator_list", [])


def changes(node: ast.AST):
    """(description, function that changes the same node of a copy) of a node's mutations."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"{type(node.op).__name__} -> {new.__name__}", lambda twin: setattr(twin, "op", new())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} -> {new.__name__}", lambda twin: twin.ops.__setitem__(0, new())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value} -> {value}", lambda twin: setattr(twin, "value", value)
    if isinstance(node, ast.If | ast.IfExp):
        yield "condition negated", lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))


def survives(copy_of_tree: Path, module: str, source: str, tests: list[str]) -> bool:
    """Whether the tests pass with this source of the module."""
    (copy_of_tree / module).write_text(source)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    try:
        done = subprocess.run(command, cwd=copy_of_tree, capture_output=True, timeout=600, env=os.environ)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TARGETS))
    parser.add_argument("--most", type=int, default=0, help="mutants of a module, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    killed = total = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        ignored = shutil.ignore_patterns(".git", ".venv", "runs", ".cache", "*.egg-info", "__pycache__", ".mypy_cache")
        shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
        for module in options.modules:
            source, chance = (ROOT / module).read_text(), random.Random(options.seed)
            every = list(mutants(source))
            for line, what, mutant in chance.sample(every, min(options.most or len(every), len(every))):
                alive = survives(tree, module, mutant, TARGETS[module])
                total, killed = total + 1, killed + (not alive)
                print(f"{'SURVIVED' if alive else 'killed'}  {module}:{line}  {what}", flush=True)
            (tree / module).write_text(source)
    print(f"{killed} of {total} killed ({killed / max(1, total):.0%})")
    return int(killed < 0.9 * total)


if __name__ == "__main__":
    sys.exit(main())
