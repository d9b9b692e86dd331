"""Tapes of our own for CLIGen (Clean): scenes of many families with words drawn into them, the same everywhere they are played.

scenes.txt has a family's name in brackets, then its scenes, an empty line between them: what is typed, line by line, with
{slots} for words of words.txt ({{ and }} are braces). A line in angle brackets is a command of the tape's grammar, one that
begins with "|" is typed without Enter.
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
    """What stands for a slot; a digit behind its name draws another of them."""
    text = re.sub(r"\n\s+", " ", _resource("words.txt"))
    return {name: tuple(values.split()) for name, values in (line.split(":", 1) for line in text.splitlines())}


@cache
def families() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Scenes by family."""
    parts = re.split(r"^\[(\w+)\]\n", _resource("scenes.txt"), flags=re.MULTILINE)[1:]
    return {
        name: tuple(tuple(scene.split("\n")) for scene in body.strip().split("\n\n"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text()


def scripts(count: int, seed: int = 0) -> list[Script]:
    """So many different scripts, families drawn evenly. Raises ValueError if there are not so many."""
    rng, found = np.random.default_rng(seed), dict[str, Script]()
    for _ in range(20 * count + 100):
        if len(found) == count:
            break
        family = str(rng.choice(list(families())))
        scenes = families()[family]
        scene = scenes[rng.integers(len(scenes))]
        lines = filled(scene, rng)
        key = "\n".join(lines)
        if key not in found:
            text = tape(f"{family}-{len(found):06d}", family, lines, required(scene))
            found[key] = Script(f"{family}/{seed}-{len(found):06d}", text, family)
    else:
        raise ValueError(f"{count} scripts: hardly more than {len(found)} differ; ask for fewer")
    return list(found.values())


def filled(scene: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    """The scene's lines with words for its slots; a slot has one word in all lines, its numbered ones have others."""
    drawn: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        slot = match[1] + match[2]
        if slot not in drawn:
            taken = {value for name, value in drawn.items() if name.rstrip("0123456789") == match[1]}
            drawn[slot] = str(rng.choice([w for w in words()[match[1]] if w not in taken]))
        return drawn[slot]

    return [SLOT.sub(word, line).replace("{{", "{").replace("}}", "}") for line in scene]


def required(scene: tuple[str, ...]) -> list[str]:
    """Those of PROGRAMS that a scene's lines begin commands with."""
    return [name for name in PROGRAMS if any(re.search(rf"(?:^|[|;&(] ?){name}\b", line) for line in scene)]


def tape(name: str, family: str, lines: list[str], requires: Sequence[str] = ()) -> str:
    """The tape that types these lines."""
    head = [f"# ID: {name}", f"# FAMILY: {family}", *(f"Require {program}" for program in requires)]
    head += [f'Env {variable} "2024-01-01T00:00:00Z"' for variable in DATED]
    for who in ("AUTHOR", "COMMITTER"):
        head += [f'Env GIT_{who}_NAME "somebody"', f'Env GIT_{who}_EMAIL "somebody@localhost"']
    return "\n".join([*head, "Set TypingSpeed 70ms", "Sleep 180ms", *(x for line in lines for x in typed(line)), ""])


def typed(line: str) -> Iterator[str]:
    """One line of a scene in the tape's grammar."""
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


def different() -> int:
    """How many different scripts there are."""

    def fillings(scene: tuple[str, ...]) -> int:
        slots = {match[1] + match[2]: match[1] for line in scene for match in SLOT.finditer(line)}
        names = list(slots.values())
        return prod(len(words()[name]) - names[:i].count(name) for i, name in enumerate(names))

    return sum(fillings(scene) for scenes in families().values() for scene in scenes)
