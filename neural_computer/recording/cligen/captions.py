"""Captions of a clip in three tiers, from its screens and keys, by templates: the same clip has the same captions.

semantic   what happens and what it looks like; no word of the output is quoted
regular    the commands and the first and last of what they printed
detailed   the last screen's text, its colours, its layout

A Clean clip's caption is its script (`script`), an arithmetic clip's may tell the answer (`answered`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neural_computer.recording.cligen.phrases import COLOURS, TRAITS
from neural_computer.recording.terminal.programs import FAMILIES
from neural_computer.recording.terminal.replay import Replay
from neural_computer.recording.terminal.tape import Command, Tape
from neural_computer.screens.terminal import Cells

TIERS = ("semantic", "regular", "detailed")
_BEFORE = r"[^\s$#%>❯➜λ»]{1,60}(?:\s[^\s$#%>❯➜λ»]{1,40})?\s?"
PROMPT = re.compile(rf"^(?:(?:{_BEFORE})?(?:>>>|[$>❯➜λ])|{_BEFORE}[#%»])\s(?P<command>\S.*)$")
"""A line that someone typed at a prompt."""
WAITING = re.compile(r"(?:>>>|[$#%>❯➜λ»:])\s*$")
SILENT = ("Sleep", "Hide", "Show", "Wait", "Screenshot", "Copy")
"""A tape's commands that press no key."""
FRAMES = re.compile("[\u2500-\u259f]+")
"""Lines, corners and blocks that frames and bars are drawn with."""
QUOTED = 54
"""Words of output that a regular caption quotes at most."""
DENSE = 100
"""Words beyond which a detailed caption leaves out lines whose words it has: text encoders read 512 tokens."""


def captions(clip: Replay) -> dict[str, str]:
    """The three tiers of a clip."""
    scene = Scene(clip)
    return {"semantic": semantic(scene), "regular": regular(scene), "detailed": detailed(scene)}


def words(text: str) -> list[str]:
    """What stands between blanks and holds a letter or a digit."""
    return [word for word in text.split() if any(map(str.isalnum, word))]


def quotation(caption: str, clip: Replay) -> str | None:
    """The first three successive words, not all numbers, that a caption has from a screen of the clip; None if it has none."""
    screens = {triple for text in set(clip.texts) for row in text.split("\n") for triple in _triples(row)}
    return next((" ".join(triple) for triple in _triples(caption) if triple in screens), None)


def _triples(text: str) -> list[tuple[str, ...]]:
    parts = re.findall(r"\w+", text.lower())
    triples = zip(parts, parts[1:], parts[2:], strict=False)
    return [triple for triple in triples if any(not part.isdigit() for part in triple)]


@dataclass(frozen=True)
class Scene:
    """What there is to say of a clip."""

    clip: Replay

    def text(self, frame: int) -> list[str]:
        """The rows of a frame's screen that hold anything, without drawn frames; those that run over the edge are one."""
        rows, full = [""], False
        for row in _rows(self.clip.screens, int(self.clip.index[frame])):
            rows[-1 if full else len(rows) :] = [rows[-1] + row if full else row]
            full = row[-1:].isalnum() and len(row) == self.clip.screens.chars.shape[2]
        return [row for row in (FRAMES.sub(" ", row).strip() for row in rows) if row]

    @cached_property
    def last(self) -> list[str]:
        return self.text(-1)

    @cached_property
    def new(self) -> list[str]:
        """The rows of the last screen that the first did not have."""
        before = set(self.text(0))
        return [row for row in self.last if row not in before]

    @cached_property
    def commands(self) -> list[str]:
        """What was typed at prompts in this clip, in order; the longest form of each."""
        before = {m["command"] for row in self.text(0) if (m := PROMPT.match(row))}
        found: list[str] = []
        for screen in dict.fromkeys(self.clip.index.tolist()):
            for row in _rows(self.clip.screens, screen):
                match = PROMPT.match(row.strip())
                if match and match["command"] not in before and match["command"] not in found:
                    found = [c for c in found if not match["command"].startswith(c)] + [match["command"]]
        return found

    @cached_property
    def colours(self) -> list[str]:
        """The names of the colours of the last screen's text, the commonest first, white and grey left out."""
        screen = int(self.clip.index[-1])
        shown = self.clip.screens.chars[screen] != ord(" ")
        names = [hue(rgb) for rgb in self.clip.screens.fg[screen][shown]] if shown.sum() < 4000 else []
        names = [name for name in names if name]
        return sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))

    @cached_property
    def moves(self) -> np.ndarray:
        """The frames at which the screen changes."""
        return np.flatnonzero(np.diff(self.clip.index)) + 1

    @cached_property
    def changed(self) -> float:
        """The share of cells that differ between the first screen and the last."""
        chars = self.clip.screens.chars
        return float((chars[self.clip.index[0]] != chars[self.clip.index[-1]]).mean())

    @cached_property
    def traits(self) -> list[str]:
        """What the text on the last screen looks like."""
        text = "\n".join(self.last)
        return [phrase for phrase, pattern, least in TRAITS if len(pattern.findall(text)) >= least]

    @property
    def seconds(self) -> float:
        return len(self.clip.index) / self.clip.fps

    @property
    def waits(self) -> bool:
        """Does it end at a prompt?"""
        return bool(self.last) and bool(WAITING.search(self.last[-1]))


def semantic(scene: Scene) -> str:
    """What happens, in general terms: nothing that stands on the screen is quoted."""
    rows, cols = scene.clip.screens.chars.shape[1:]
    size = "small" if cols < 70 else "wide" if cols > 110 else "standard"
    return " ".join(
        (
            f"A {size} {cols}x{rows} terminal, {_backdrop(scene)}.",
            _activity(scene),
            _course(scene),
            _looks(scene),
            _end(scene),
        )
    )


def _backdrop(scene: Scene) -> str:
    screen = int(scene.clip.index[-1])
    light = scene.clip.screens.bg[screen].mean() > 128
    return ("light" if light else "dark") + (f" with {_list(scene.colours[:3])} accents" if scene.colours else "")


def _activity(scene: Scene) -> str:
    """The commands by what they are for; without any, the way the screen changes."""
    kinds = list(dict.fromkeys(family(command) for command in scene.commands))
    if kinds:
        count = len(scene.commands)
        number = "one command" if count == 1 else f"{count} commands"
        return f"The user enters {number}: {_list(kinds[:3])}."
    keys = sum(event.kind == "press" for event in scene.clip.events)
    if keys:
        return f"The user presses {keys} keys inside a running program."
    if len(scene.moves) > 2 * scene.seconds and scene.changed < 0.1:
        return "Text appears piece by piece, as if typed, while the rest stands still."
    if scene.changed > 0.4:
        return "A program draws the whole screen anew, so that most of what stood there is replaced."
    if "panels with drawn frames" in scene.traits:
        return "A full-screen program with framed panels is at work and updates parts of its display."
    return "A running program goes on printing its output, and nobody types a command."


def _course(scene: Scene) -> str:
    """When and how much the screen changes."""
    if not len(scene.moves):
        return "Nothing moves."
    begin, end = scene.moves[0] / scene.clip.fps, scene.moves[-1] / scene.clip.fps
    return (
        f"Within {scene.seconds:.1f} seconds it changes {_count(len(scene.moves), 'time')}, from second {begin:.1f} to "
        f"{end:.1f}; {_count(len(scene.new), 'row')} and {100 * scene.changed:.0f} percent of the cells differ."
    )


def _looks(scene: Scene) -> str:
    rows = scene.clip.screens.chars.shape[1]
    fill = len(scene.last) / rows
    full = (
        "nearly empty" if fill < 0.2 else "partly filled" if fill < 0.6 else "mostly filled" if fill < 0.9 else "full"
    )
    return f"It is {full}" + (f", showing {_list(scene.traits[:3])}." if scene.traits else ".")


def _end(scene: Scene) -> str:
    return "It ends at a prompt." if scene.waits else "The program is still in front."


def regular(scene: Scene) -> str:
    """The commands and what they printed, the beginning and the end of it."""
    typed = [f"`{_cut(command, 9)}`" for command in scene.commands[:4]]
    ran = (
        f"In the terminal the user runs {_list(typed)}." if typed else "In the terminal a program writes to the screen."
    )
    skip = {row for row in scene.last if (m := PROMPT.match(row)) and m["command"] in scene.commands}
    fresh = set(scene.new) - skip
    new = [row for row in scene.last if row in fresh and words(row)]
    old = [row for row in scene.last if row not in fresh | skip and words(row)]
    said = f" It prints {_both(new, QUOTED)}." if new else " Nothing is printed."
    left = QUOTED - len(words(said))
    return ran + said + (f" The screen still shows {_both(old, left)}." if old and left > 8 else "")


def _both(rows: Sequence[str], budget: int) -> str:
    """The first and the last of some rows, quoted, and how many stand between them."""
    head, tail = _ends(rows, budget)
    more = len(rows) - len(head) - len(tail)
    quoted = [_list([f'"{row}"' for row in part]) for part in (head, tail) if part]
    between = f", then {_count(more, 'more row')}" if more else ""
    return f"{between}, and in the end ".join(quoted) if tail else quoted[0] + between


def _ends(rows: Sequence[str], budget: int) -> tuple[list[str], list[str]]:
    """The first and the last rows that a budget of words allows, in turns, each cut to a third of it."""
    head: list[str] = []
    tail: list[str] = []
    first, last = 0, len(rows) - 1
    while first <= last:
        at_head = len(head) <= len(tail)
        row = _cut(" ".join(words(rows[first if at_head else last])), budget // 3)
        budget_left = budget - sum(len(words(x)) for x in head + tail)
        if len(words(row)) > budget_left:
            break
        if at_head:
            head.append(row)
            first += 1
        else:
            tail.insert(0, row)
            last -= 1
    return head, tail


def detailed(scene: Scene) -> str:
    """The last screen's text, row by row, with its colours and its layout."""
    rows, cols = scene.clip.screens.chars.shape[1:]
    quoted = _literal(scene.last)
    body = " / ".join(quoted).removesuffix(".") if quoted else "nothing"
    colours = f", {_list(scene.colours[:4])} parts" if scene.colours else ""
    return f"A {cols}x{rows} terminal{colours}. {len(scene.last)} rows read: {body.removesuffix('.')}. {_place(scene)}"


def _literal(rows: Sequence[str]) -> list[str]:
    """The rows without their frames and rules; on a dense screen, without words that were quoted before."""
    dense = sum(len(words(row)) for row in rows) > DENSE
    seen: set[str] = set()
    quoted = []
    for row in rows:
        said = words(row)
        fresh = [word for word in said if word not in seen]
        if fresh:
            quoted.append(" ".join(fresh if dense else said))
            seen.update(said)
    return quoted


def _place(scene: Scene) -> str:
    """Where the cursor is."""
    row, col = scene.clip.screens.cursor[int(scene.clip.index[-1])].tolist()
    return "The cursor is hidden." if row < 0 else f"The cursor is in row {row + 1}, column {col + 1}."


def family(command: str) -> str:
    """What a command is for, by its first word."""
    words = re.sub(r"^(?:\w+=\S+\s+|sudo\s+|time\s+|nohup\s+|env\s+)+", "", command).split()
    name = re.sub(r"[\d.]+$", "", words[0].rsplit("/", 1)[-1]) if words else ""
    if name in FAMILIES:
        return FAMILIES[name]
    if command.startswith("#"):
        return "writing a comment"
    if re.match(r"[\w.]+\s*(?:\(|=|[-+*/%])", command) or command.startswith(("import ", "from ", "print")):
        return "evaluating an expression"
    return "starting a script" if words and words[0].startswith(("./", "/", "~")) else "running a program"


def hue(rgb: np.ndarray) -> str:
    """The name of a colour; empty for greys."""
    r, g, b = (int(x) for x in rgb)
    if max(r, g, b) - min(r, g, b) < 40:
        return ""
    high = (r + g + b + max(r, g, b)) / 4
    return COLOURS[(r >= high * 0.9) << 2 | (g >= high * 0.9) << 1 | (b >= high * 0.9)]


def _rows(screens: Cells, screen: int) -> list[str]:
    return Cells(*(x[screen] for x in screens)).text().split("\n")


def _list(parts: Sequence[str]) -> str:
    """Parts as a sentence lists them."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" and {parts[-1]}" if parts else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _cut(text: str, most: int) -> str:
    parts = text.split()
    return text if len(parts) <= most else " ".join(parts[:most])


# Clean


def script(tape: Tape) -> str:
    """A tape's actions as its caption: `Type "python"; Enter; Ctrl+C`. What only waits or hides is left out."""
    return "; ".join(_action(command) for command in tape.commands if command.name not in SILENT)


def _action(command: Command) -> str:
    times = f" {command.times}" if command.times > 1 else ""
    if command.name == "Chord":
        return "+".join((*command.modifiers, command.text)) + times
    return f'{command.name} "{command.text}"' if command.name == "Type" else command.name + times


def answered(caption: str, answer: str, name: str, seed: int = 0) -> str:
    """The caption of clip `name`, with the answer appended in a half of the clips, drawn by seed and name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return f"{caption} The answer is {answer}" if digest[0] & 1 else caption
