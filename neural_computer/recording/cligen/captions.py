"""Captions of a clip in three tiers, written by templates from its screens and keys: deterministic.

semantic   activity and appearance, without quoting the output
regular    the commands, and the first and last rows of their output
detailed   text, colours and layout of the last screen

A Clean clip's caption is its script (`script`); an arithmetic clip's may have the answer (`with_answer`).
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
"""Row with a command at a prompt"""
WAITING = re.compile(r"(?:>>>|[$#%>❯➜λ»:])\s*$")
SILENT = ("Sleep", "Hide", "Show", "Wait", "Screenshot", "Copy")
"""Commands of a tape that press no key"""
FRAMES = re.compile("[\u2500-\u259f]+")
"""Characters that draw frames and bars: lines, corners, blocks"""
QUOTED = 54
"""Words of output that a regular caption quotes at most"""
DENSE = 100
"""Words beyond which a detailed caption omits repeated words: text encoders read 512 tokens"""


def captions(clip: Replay) -> dict[str, str]:
    """{tier: caption} of a clip."""
    scene = Scene(clip)
    return {"semantic": semantic(scene), "regular": regular(scene), "detailed": detailed(scene)}


def words(text: str) -> list[str]:
    """Words of a text: the parts between blanks that have a letter or a digit."""
    return [word for word in text.split() if any(map(str.isalnum, word))]


def quotation(caption: str, clip: Replay) -> str | None:
    """First three successive words, not all numbers, that a caption shares with a screen of the clip; None if none."""
    screens = {triple for text in set(clip.texts) for row in text.split("\n") for triple in _triples(row)}
    return next((" ".join(triple) for triple in _triples(caption) if triple in screens), None)


def _triples(text: str) -> list[tuple[str, ...]]:
    parts = re.findall(r"\w+", text.lower())
    triples = zip(parts, parts[1:], parts[2:], strict=False)
    return [triple for triple in triples if any(not part.isdigit() for part in triple)]


@dataclass(frozen=True)
class Scene:
    """Features of a clip that captions are written from."""

    clip: Replay

    def text(self, frame: int) -> list[str]:
        """Rows of a frame's screen that have text, without drawn frames; rows that continue past the edge are joined."""
        rows, full = [""], False
        for row in _rows(self.clip.screens, int(self.clip.index[frame])):
            rows[-1 if full else len(rows) :] = [rows[-1] + row if full else row]
            full = row[-1:].isalnum() and len(row) == self.clip.screens.chars.shape[2]
        return [row for row in (FRAMES.sub(" ", row).strip() for row in rows) if row]

    @cached_property
    def last(self) -> list[str]:
        """Rows of the last screen."""
        return self.text(-1)

    @cached_property
    def new(self) -> list[str]:
        """Rows of the last screen that the first screen does not have."""
        before = set(self.text(0))
        return [row for row in self.last if row not in before]

    @cached_property
    def commands(self) -> list[str]:
        """Commands that appear at prompts during the clip, in order; the longest form of each."""
        before = {m["command"] for row in self.text(0) if (m := PROMPT.match(row))}
        commands: list[str] = []
        for screen in dict.fromkeys(self.clip.index.tolist()):
            for row in _rows(self.clip.screens, screen):
                match = PROMPT.match(row.strip())
                if match and match["command"] not in before and match["command"] not in commands:
                    commands = [c for c in commands if not match["command"].startswith(c)] + [match["command"]]
        return commands

    @cached_property
    def colours(self) -> list[str]:
        """Names of the last screen's text colours, the most frequent first, without white and grey."""
        screen = int(self.clip.index[-1])
        filled = self.clip.screens.chars[screen] != ord(" ")
        names = [hue(rgb) for rgb in self.clip.screens.fg[screen][filled]] if filled.sum() < 4000 else []
        names = [name for name in names if name]
        return sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))

    @cached_property
    def moves(self) -> np.ndarray:
        """Frames at which the screen changes."""
        return np.flatnonzero(np.diff(self.clip.index)) + 1

    @cached_property
    def changed(self) -> float:
        """Share of cells that differ between the first and the last screen."""
        chars = self.clip.screens.chars
        return float((chars[self.clip.index[0]] != chars[self.clip.index[-1]]).mean())

    @cached_property
    def traits(self) -> list[str]:
        """Phrases of TRAITS that describe the last screen's text."""
        text = "\n".join(self.last)
        return [phrase for phrase, pattern, least in TRAITS if len(pattern.findall(text)) >= least]

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.clip.index) / self.clip.fps

    @property
    def waits(self) -> bool:
        """Whether the clip ends at a prompt."""
        return bool(self.last) and bool(WAITING.search(self.last[-1]))


def semantic(scene: Scene) -> str:
    """Caption in general terms, without a quotation from the screen."""
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
    """Sentence on the purposes of the commands; without commands, on how the screen changes."""
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
    """Sentence on when and how much the screen changes."""
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
    """Caption with the commands, and the first and last rows of their output."""
    typed = [f"`{_cut(command, 9)}`" for command in scene.commands[:4]]
    ran = (
        f"In the terminal the user runs {_list(typed)}." if typed else "In the terminal a program writes to the screen."
    )
    typed_rows = {row for row in scene.last if (m := PROMPT.match(row)) and m["command"] in scene.commands}
    new_rows = set(scene.new) - typed_rows
    new = [row for row in scene.last if row in new_rows and words(row)]
    old = [row for row in scene.last if row not in new_rows | typed_rows and words(row)]
    output = f" It prints {_both(new, QUOTED)}." if new else " Nothing is printed."
    left = QUOTED - len(words(output))
    return ran + output + (f" The screen still shows {_both(old, left)}." if old and left > 8 else "")


def _both(rows: Sequence[str], budget: int) -> str:
    """First and last rows, quoted, and the number of rows between them."""
    head, tail = _ends(rows, budget)
    more = len(rows) - len(head) - len(tail)
    quotes = [_list([f'"{row}"' for row in part]) for part in (head, tail) if part]
    between = f", then {_count(more, 'more row')}" if more else ""
    return f"{between}, and in the end ".join(quotes) if tail else quotes[0] + between


def _ends(rows: Sequence[str], budget: int) -> tuple[list[str], list[str]]:
    """(first rows, last rows), taken in turns within a budget of words; each row is cut to a third of the budget."""
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
    """Caption with the text, the colours and the layout of the last screen."""
    rows, cols = scene.clip.screens.chars.shape[1:]
    quotes = _literal(scene.last)
    body = " / ".join(quotes).removesuffix(".") if quotes else "nothing"
    colours = f", {_list(scene.colours[:4])} parts" if scene.colours else ""
    return f"A {cols}x{rows} terminal{colours}. {len(scene.last)} rows read: {body.removesuffix('.')}. {_place(scene)}"


def _literal(rows: Sequence[str]) -> list[str]:
    """Rows as quoted: without frames and rules; on a dense screen, without words of earlier rows."""
    dense = sum(len(words(row)) for row in rows) > DENSE
    earlier: set[str] = set()
    quotes = []
    for row in rows:
        row_words = words(row)
        new = [word for word in row_words if word not in earlier]
        if new:
            quotes.append(" ".join(new if dense else row_words))
            earlier.update(row_words)
    return quotes


def _place(scene: Scene) -> str:
    """Sentence on the cursor's place."""
    row, col = scene.clip.screens.cursor[int(scene.clip.index[-1])].tolist()
    return "The cursor is hidden." if row < 0 else f"The cursor is in row {row + 1}, column {col + 1}."


def family(command: str) -> str:
    """Purpose of a command, by its first word."""
    parts = re.sub(r"^(?:\w+=\S+\s+|sudo\s+|time\s+|nohup\s+|env\s+)+", "", command).split()
    name = re.sub(r"[\d.]+$", "", parts[0].rsplit("/", 1)[-1]) if parts else ""
    if name in FAMILIES:
        return FAMILIES[name]
    if command.startswith("#"):
        return "writing a comment"
    if re.match(r"[\w.]+\s*(?:\(|=|[-+*/%])", command) or command.startswith(("import ", "from ", "print")):
        return "evaluating an expression"
    return "starting a script" if parts and parts[0].startswith(("./", "/", "~")) else "running a program"


def hue(rgb: np.ndarray) -> str:
    """Name of a colour; empty for greys."""
    r, g, b = (int(x) for x in rgb)
    if max(r, g, b) - min(r, g, b) < 40:
        return ""
    high = (r + g + b + max(r, g, b)) / 4
    return COLOURS[(r >= high * 0.9) << 2 | (g >= high * 0.9) << 1 | (b >= high * 0.9)]


def _rows(screens: Cells, screen: int) -> list[str]:
    return Cells(*(x[screen] for x in screens)).text().split("\n")


def _list(parts: Sequence[str]) -> str:
    """Parts joined by commas and "and"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" and {parts[-1]}" if parts else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _cut(text: str, most: int) -> str:
    parts = text.split()
    return text if len(parts) <= most else " ".join(parts[:most])


# Clean


def script(tape: Tape) -> str:
    """Caption of a tape: its actions, `Type "python"; Enter; Ctrl+C`, without SILENT commands."""
    return "; ".join(_action(command) for command in tape.commands if command.name not in SILENT)


def _action(command: Command) -> str:
    times = f" {command.times}" if command.times > 1 else ""
    if command.name == "Chord":
        return "+".join((*command.modifiers, command.text)) + times
    return f'{command.name} "{command.text}"' if command.name == "Type" else command.name + times


def with_answer(caption: str, answer: str, name: str, seed: int = 0) -> str:
    """Caption of clip `name`; in half of the clips, chosen by the hash of seed and name, the answer is appended."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return f"{caption} The answer is {answer}" if digest[0] & 1 else caption
