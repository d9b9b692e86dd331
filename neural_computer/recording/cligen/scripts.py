"""Generates tapes for CLIGen (Clean): scenes of many families, their slots filled with random words.

scenes.txt has a family's name in brackets, then its scenes, separated by an empty line. A scene has one typed line a row,
with {slots} for words of words.txt ({{ and }} are braces). A line in angle brackets is a command of the tape's grammar; a
line that begins with "|" is typed without Enter.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from math import prod

import numpy as np

from neural_computer.recording.cligen.clean import Script

PROGRAMS = ("awk", "cal", "column", "git", "jq", "nano", "python", "tree", "vim")
"""Programs of scenes that a bare machine may lack"""
DATED = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")
SLOT = re.compile(r"(?<!\{)\{([a-z]+)(\d?)\}(?!\})")


@cache
def words() -> dict[str, tuple[str, ...]]:
    """{slot: words that can fill it}; a slot's name with a digit behind it stands for another of these words."""
    text = re.sub(r"\n\s+", " ", _resource("words.txt"))
    return {name: tuple(values.split()) for name, values in (line.split(":", 1) for line in text.splitlines())}


@cache
def families() -> dict[str, tuple[tuple[str, ...], ...]]:
    """{family: scenes}, a scene as its lines."""
    parts = re.split(r"^\[(\w+)\]\n", _resource("scenes.txt"), flags=re.MULTILINE)[1:]
    return {
        name: tuple(tuple(scene.split("\n")) for scene in body.strip().split("\n\n"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text()


def scripts(count: int, seed: int = 0) -> list[Script]:
    """`count` distinct scripts, families uniform. Raises ValueError if there are hardly that many."""
    rng, distinct = np.random.default_rng(seed), dict[str, Script]()
    for _ in range(20 * count + 100):
        if len(distinct) == count:
            break
        family = str(rng.choice(list(families())))
        scenes = families()[family]
        scene = scenes[rng.integers(len(scenes))]
        lines = fill(scene, rng)
        key = "\n".join(lines)
        if key not in distinct:
            text = tape(f"{family}-{len(distinct):06d}", family, lines, required(scene))
            distinct[key] = Script(f"{family}/{seed}-{len(distinct):06d}", text, family)
    else:
        raise ValueError(f"{count} scripts: hardly more than {len(distinct)} differ; ask for fewer")
    return list(distinct.values())


def fill(scene: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    """Lines of a scene with words in its slots: the same word for a slot in all lines, other words for numbered ones."""
    words_of: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        slot = match[1] + match[2]
        if slot not in words_of:
            used = {value for name, value in words_of.items() if name.rstrip("0123456789") == match[1]}
            words_of[slot] = str(rng.choice([w for w in words()[match[1]] if w not in used]))
        return words_of[slot]

    return [SLOT.sub(word, line).replace("{{", "{").replace("}}", "}") for line in scene]


def required(scene: tuple[str, ...]) -> list[str]:
    """Those of PROGRAMS that a scene's lines begin commands with."""
    return [name for name in PROGRAMS if any(re.search(rf"(?:^|[|;&(] ?){name}\b", line) for line in scene)]


def tape(name: str, family: str, lines: list[str], requires: Sequence[str] = ()) -> str:
    """Tape that requires these programs and types these lines."""
    head = [f"# ID: {name}", f"# FAMILY: {family}", *(f"Require {program}" for program in requires)]
    head += [f'Env {variable} "2024-01-01T00:00:00Z"' for variable in DATED]
    for who in ("AUTHOR", "COMMITTER"):
        head += [f'Env GIT_{who}_NAME "somebody"', f'Env GIT_{who}_EMAIL "somebody@localhost"']
    return "\n".join([*head, "Set TypingSpeed 70ms", "Sleep 180ms", *(x for line in lines for x in commands(line)), ""])


def commands(line: str) -> Iterator[str]:
    """Commands of the tape's grammar for one line of a scene. Raises ValueError for a line with all three quotes."""
    if line.startswith("<"):
        yield from (line[1:-1], "Sleep 300ms")
        return
    text = line.removeprefix("|")
    quote = next((mark for mark in "\"'`" if mark not in text), None)
    if quote is None:
        raise ValueError(f"{text!r}: holds all three quotes; a tape cannot type it in one")
    yield f"Type {quote}{text}{quote}"
    if not line.startswith("|"):
        yield from ("Sleep 120ms", "Enter")
    yield "Sleep 400ms"


def distinct() -> int:
    """Number of distinct scripts that the scenes can give."""

    def fillings(scene: tuple[str, ...]) -> int:
        slots = {match[1] + match[2]: match[1] for line in scene for match in SLOT.finditer(line)}
        names = list(slots.values())
        return prod(len(words()[name]) - names[:i].count(name) for i, name in enumerate(names))

    return sum(fillings(scene) for scenes in families().values() for scene in scenes)
