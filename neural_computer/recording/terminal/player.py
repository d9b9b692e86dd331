"""Plays tapes: types them to a real bash in a sandbox, and records what it writes together with the exact keys.

In lock-step (the default) a key is sent once the screen has settled after the key before. The recording's clock is the
tape's, so the same tape gives the same recording on every machine. What a program writes by itself while it waits (clocks,
background jobs) comes with the next key. Timed, keys are sent at the tape's times and the clock is real.

Two things use real time even in lock-step:
- A program that does not wait for keys (sleep, watch, a loop) runs for the tape's pause before Ctrl+ interrupts it. Before
  any other key, and at the end, it is an error at the deadline.
- Output that takes longer than SLOW keeps its times, up to the length of the tape's pause.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.recording import sandbox as sandboxes
from neural_computer.recording.sandbox import INSTALL, Sandbox
from neural_computer.recording.terminal import programs
from neural_computer.recording.terminal import tape as tapes
from neural_computer.recording.terminal.cast import Cast, Entry
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession
from neural_computer.recording.terminal.tape import Command, Tape

SHELL = ("bash", "--noprofile", "--norc", "--login", "+o", "history")
PROMPT = r"\[\e[38;2;90;86;224m\]> \[\e[0m\]"
"""bash's arguments and prompt, as vhs starts it"""

ROWS, COLS = 12, 61
DEADLINE, GRACE, SILENCE, SLOW = 10.0, 1.0, 0.2, 2.0
"""Seconds: for the response to a key; at least, for a program that Ctrl+ interrupts; of waiting after which a key without
an echo counts as handled; after which output keeps its times"""

MISSING = f"is not installed; {INSTALL} installs what generated tapes need, apt-get install others"

MAX_SECONDS, MAX_STEPS, MAX_CHARACTERS = 600.0, 20_000, 1 << 22
"""Limits of a tape: its length, its keys and pauses, its output"""

NAMES = {"Enter": "Return", "Backspace": "BackSpace", "PageUp": "Prior", "PageDown": "Next", "Space": " "}
"""X keysyms of the keys that tapes call otherwise"""

SEQUENCES = {"Enter": "\r", "Backspace": "\x7f", "Delete": "\x1b[3~", "Insert": "\x1b[2~", "Tab": "\t", "Space": " "}
SEQUENCES |= {"Escape": "\x1b", "PageUp": "\x1b[5~", "PageDown": "\x1b[6~"}
ARROWS = {"Up": "A", "Down": "B", "Right": "C", "Left": "D"}
CURSOR_MODE = re.compile(r"\x1b\[\?(?:[\d;]*;)?1(?:;[\d;]*)?([hl])")
"""Output by which a program switches the arrow keys to their application form (h) or back (l): DECCKM"""
MESSAGE = 1000
"""Characters at the end of an unfinished line that are kept to find a shell's message in"""


class Press(NamedTuple):
    """One key of a tape: its name there, its X keysym, the pause after it in seconds, its line, its modifiers."""

    key: str
    name: str
    pause: float
    line: int
    modifiers: tuple[str, ...] = ()


class Pause(NamedTuple):
    """A Sleep of `pause` seconds."""

    pause: float


class Visibility(NamedTuple):
    """Hide or Show."""

    hidden: bool


Step = Press | Pause | Visibility


@dataclass
class Timeline:
    """A recording that grows. While it is hidden its clock stands still and keys are left out; the output of that time
    is added at once when it is shown again."""

    entries: list[Entry] = field(default_factory=list)
    keys: list[list[Any]] = field(default_factory=list)
    clock: float = 0.0
    hidden: bool = False
    unseen: str = ""

    def output(self, text: str, after: float = 0.0) -> None:
        """Adds output, `after` seconds later than the clock."""
        if self.hidden:
            self.unseen += text
        elif text:
            self.entries.append(Entry(round(self.clock + after, 6), "o", text))

    def press(self, characters: str, name: str) -> None:
        """Adds a key: the characters that were sent, and its name."""
        if not self.hidden:
            self.entries.append(Entry(round(self.clock, 6), "i", characters))
            self.keys.append([round(self.clock, 6), name])

    def advance(self, seconds: float) -> None:
        """Moves the clock."""
        if not self.hidden:
            self.clock += seconds

    def hide(self, hidden: bool) -> None:
        """Hides what follows, or shows it again."""
        self.hidden = hidden
        if not hidden:
            text, self.unseen = self.unseen, ""
            self.output(text)


def play(
    tape: Tape,
    sandbox: Sandbox | None = None,
    timed: bool = False,
    deadline: float = DEADLINE,
    limit: float = 60.0,
) -> Cast:
    """Recording of a tape: output, keys as the characters that were sent (code "i") and by name.

    Its meta has "keys" (time, X keysym, "ctrl+c" for chords), "tape" (the tape's header), the theme, the duration, and in
    "not_found" the commands that the shell did not find. `deadline` is in seconds of real time for each key, `limit` for
    the whole tape. Raises ValueError for a tape that cannot be played here, RecordingError ("NAME:LINE: reason") for one
    that fails, and SandboxError without a sandbox.
    """
    sandbox = sandbox or Sandbox()
    every = list(islice(steps(tape), MAX_STEPS + 1))
    check(tape, every, limit if timed else MAX_SECONDS, sandbox.unsafe)
    rows, cols = size(tape.settings)
    environment = {"PS1": PROMPT, "PYTHON_BASIC_REPL": "1"} | dict(tape.environment)
    session = TerminalSession(SHELL, rows, cols, environment, deadline, sandbox, SILENCE, MAX_CHARACTERS)
    with session:
        player = _Player(session, every, time.monotonic() + limit, sandbox.unsafe)
        try:
            player.play(timed)
        except RecordingError as error:
            raise RecordingError(f"{tape.name}:{player.line}: {error}") from error
    meta = _meta(tape, player.timeline)
    if player.not_found:
        meta["not_found"] = sorted(player.not_found)
    return Cast(cols=cols, rows=rows, entries=tuple(player.timeline.entries), meta=meta)


def attempts(paths: Iterable[Path], **options: Any) -> Iterator[tuple[Path, Cast | str]]:
    """(path, recording) of tapes, or (path, reason) for one that cannot be played; `options` are `play`'s."""
    for path in paths:
        try:
            yield path, play(tapes.read(path), **options)
        except (ValueError, RecordingError, OSError) as error:
            yield path, str(error)


class _Player:
    """Types steps to a session and collects the timeline."""

    def __init__(self, session: TerminalSession, every: Sequence[Step], end: float, unsafe: bool):
        self.session, self.every, self.end, self.unsafe = session, every, end, unsafe
        self.timeline = Timeline()
        self.line = 1
        self.application = False
        self.not_found: set[str] = set()
        self.unfinished = ""

    def play(self, timed: bool) -> None:
        """Plays all steps. Raises RecordingError; `line` is then the tape's line."""
        self.timeline.hidden = any(isinstance(step, Visibility) and step.hidden for step in self.every[:1])
        self.receive(self.session.settle())
        for place, step in enumerate(self.every):
            if isinstance(step, Visibility):
                self.timeline.hide(step.hidden)
                continue
            if isinstance(step, Press):
                self.line = step.line
                self.press(step)
                if not timed:
                    self.respond(step, place)
            if timed:
                for after, text in self.session.follow(step.pause, to_the_end=True):
                    self.receive(text, min(after, step.pause))
            self.timeline.advance(step.pause)

    def receive(self, text: str, after: float = 0.0) -> None:
        """Takes output. Raises RecordingError if it says that a program is missing."""
        if modes := CURSOR_MODE.findall(text):
            self.application = modes[-1] == "h"
        self.timeline.output(text, after)
        *lines, rest = re.split(r"[\r\n]+", self.unfinished + text)
        self.unfinished = rest[-MESSAGE:]
        for line in lines:
            if name := programs.not_found(line):
                self.miss(name)

    def miss(self, name: str) -> None:
        """Notes a command that the shell did not find. Raises RecordingError for a program that is merely not installed.

        A name that no machine has is a typing error of the tape, which its recording is meant to show.
        """
        if name in programs.INSTALLABLE and not sandboxes.has(name, self.unsafe):
            raise RecordingError(f"{name}: command not found: it {MISSING}")
        self.not_found.add(name)

    def press(self, press: Press) -> None:
        if time.monotonic() > self.end:
            raise RecordingError("takes longer than its limit")
        if self.session.ended:
            raise RecordingError("the shell has ended and is still typed to")
        characters = encode(press, self.application)
        self.timeline.press(characters, "+".join([*map(str.lower, press.modifiers), press.name]))
        self.session.press(characters)

    def respond(self, press: Press, place: int) -> None:
        """Takes the output that follows a key in lock-step."""
        rest = range(place + 1, len(self.every))
        following = next((self.every[i] for i in rest if isinstance(self.every[i], Press)), None)
        pause = press.pause
        for step in (self.every[i] for i in rest):
            if not isinstance(step, Pause):
                break
            pause += step.pause
        if isinstance(following, Press) and "Ctrl" in following.modifiers:
            pieces = list(self.session.follow(max(pause, GRACE)))
        else:
            pieces = self.session.response(ending=following is None)
        live = (pieces and pieces[-1][0] > SLOW) or not self.session.settled
        for after, text in pieces if live else [(0.0, "".join(text for _, text in pieces))]:
            self.receive(text, min(after, pause))


def steps(tape: Tape) -> Iterator[Step]:
    """Keys, pauses, Hide and Show of a tape, one by one. Raises ValueError for a command that is not played here."""
    copied = ""
    for command in tape.commands:
        if command.name in ("Type", "Paste"):
            text = command.text if command.name == "Type" else copied
            yield from (Press(key, key, command.seconds, command.line) for key in text)
        elif command.name in SEQUENCES or command.name in ARROWS:
            press = Press(command.name, NAMES.get(command.name, command.name), command.seconds, command.line)
            yield from repeat(press, command.times)
        elif command.name == "Chord":
            name = NAMES.get(command.text, command.text if len(command.text) > 1 else command.text.lower())
            yield Press(command.text, name, command.seconds, command.line, command.modifiers)
        elif command.name == "Sleep":
            yield Pause(command.seconds)
        elif command.name in ("Hide", "Show"):
            yield Visibility(command.name == "Hide")
        elif command.name == "Copy":
            copied = command.text
        elif command.name != "Screenshot":
            raise ValueError(f"{tape.name}:{command.line}: {_unplayed(command)}")


def _unplayed(command: Command) -> str:
    if command.name == "Wait":
        return "Wait is not played: in lock-step every key waits for its effect by itself; leave it out"
    return f"{command.name} moves the window of vhs, not the terminal; leave it out"


def check(tape: Tape, every: list[Step], limit: float, unsafe: bool = False) -> None:
    """Raises ValueError for a tape that cannot be played: too long, another shell, a missing program."""

    def reject(rule: str) -> None:
        raise ValueError(f"{tape.name}: {rule}")

    if len(every) > MAX_STEPS:
        reject(f"has more than {MAX_STEPS} keys and pauses; cut it in parts")
    seconds = sum(step.pause for step in every if not isinstance(step, Visibility))
    if seconds > limit:
        reject(f"lasts {seconds:.6g} s, which is more than {limit:.6g}; shorten it")
    if (shell := tape.settings.get("Shell", "bash")) != "bash":
        reject(f"Set Shell {shell}: only bash is played")
    missing = [program for program in tape.requires if not sandboxes.has(program, unsafe)]
    if missing:
        reject(f"Require {missing[0]}: {MISSING}")


def size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """(rows, columns) of the terminal in vhs's window; 12x61 where no font size is set.

    A cell of JetBrains Mono is .6 of the font's size wide and 1.32 of it high. ttyd's page takes 25 pixels of the width and
    10 of the height for a scroll bar and edges. The Clean videos (1600x900, size 40) have 12x61. Raises ValueError for a
    terminal of fewer than 2 or more than 1000 rows or columns.
    """
    if "FontSize" not in settings:
        return ROWS, COLS
    font, edge = settings["FontSize"], settings.get("Padding", 60)
    edge += settings.get("Margin", 0) if settings.get("MarginFill") else 0
    bar = settings.get("WindowBarSize", 30) if settings.get("WindowBar") else 0
    wide = settings.get("Width", 1200) - 2 * edge - 25
    high = settings.get("Height", 600) - 2 * edge - 10 - bar
    cols = wide // max(1, int(0.6 * font + settings.get("LetterSpacing", 1.0)))
    rows = high // max(1, int(1.32 * font * settings.get("LineHeight", 1.0)))
    if not (2 <= cols <= 1000 and 2 <= rows <= 1000):
        raise ValueError(
            f"a window of {cols} columns and {rows} rows: both must be between 2 and 1000; set another FontSize"
        )
    return int(rows), int(cols)


def encode(press: Press, application: bool) -> str:
    """Characters that xterm sends for a key; in `application` mode (DECCKM) arrows have another form.

    Raises RecordingError for a chord for which it sends nothing.
    """
    key, modifiers = press.key, press.modifiers
    if key in ARROWS:
        number = 1 + sum(value for value, name in ((1, "Shift"), (2, "Alt"), (4, "Ctrl")) if name in modifiers)
        return f"\x1b[1;{number}{ARROWS[key]}" if modifiers else f"\x1b{'O' if application else '['}{ARROWS[key]}"
    if "Shift" in modifiers and (key == "Tab" or "Ctrl" in modifiers):
        if key != "Tab":
            raise RecordingError(f"{'+'.join([*modifiers, key])}: terminals send nothing for it; leave Shift out")
        return "\x1b[Z"
    characters = SEQUENCES.get(key, key.upper() if "Shift" in modifiers else key)
    if "Ctrl" in modifiers and key != "Enter":
        special = {"Backspace": "\x08", "Space": "\0", "-": "\x1f"}
        if key not in special and not (len(key) == 1 and "@" <= key.upper() <= "_"):
            raise RecordingError(f"{'+'.join([*modifiers, key])}: terminals send nothing for it")
        characters = special[key] if key in special else chr(ord(key.upper()) & 0x1F)
    return "\x1b" + characters if "Alt" in modifiers else characters


def _meta(tape: Tape, timeline: Timeline) -> dict[str, Any]:
    meta: dict[str, Any] = {"duration": round(timeline.clock, 6), "command": "bash", "env": {"TERM": "xterm-256color"}}
    meta |= {"keys": timeline.keys, "tape": dict(tape.meta)}
    if "ID" in tape.meta:
        meta["title"] = tape.meta["ID"]
    if isinstance(theme := tape.settings.get("Theme"), dict):
        colours = ["black", "red", "green", "yellow", "blue", "purple", "cyan", "white"]
        colours += ["bright" + colour.capitalize() for colour in colours]
        if all(isinstance(theme.get(name), str) for name in ("background", "foreground", *colours)):
            palette = ":".join(theme[colour] for colour in colours)
            meta["theme"] = {"fg": theme["foreground"], "bg": theme["background"], "palette": palette}
    return meta
