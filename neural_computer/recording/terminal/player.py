"""Tapes played: a real bash in a sandbox is typed to, and what it wrote becomes a recording with its exact keys.

In lock-step (the default) a key is sent when the screen has settled after the key before; the recording's clock is the
tape's, so the same tape gives the same recording on every machine. What a program writes by itself while it waits (clocks,
jobs in the background) then comes with the next key. Timed, keys are sent at the tape's times and the clock is real.

Two times are real in lock-step too. A program that does not wait for keys (sleep, watch, a loop) is left the tape's pause
before Ctrl+ interrupts it; before any other key, and at the end, it is an error at the deadline. And an answer that takes
longer than SLOW keeps its times, as far as the tape pauses.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.recording import sandbox as boxes
from neural_computer.recording.sandbox import Sandbox
from neural_computer.recording.terminal import tape as tapes
from neural_computer.recording.terminal.cast import Cast, Entry
from neural_computer.recording.terminal.recorder import RecordingError, Session
from neural_computer.recording.terminal.tape import Command, Tape

SHELL = ("bash", "--noprofile", "--norc", "--login", "+o", "history")
PROMPT = r"\[\e[38;2;90;86;224m\]> \[\e[0m\]"
"""As vhs starts bash."""

ROWS, COLS = 12, 61
PATIENCE, GRACE, SILENCE, SLOW = 10.0, 1.0, 0.2, 2.0
"""Seconds: for an answer to a key; at least for a program that Ctrl+ ends; after which a key without echo counts as
answered; see above."""

LONGEST, MOST, LARGEST = 600.0, 20_000, 1 << 22
"""Seconds, and keys and pauses, that no tape has; characters that none writes."""

NAMES = {"Enter": "Return", "Backspace": "BackSpace", "PageUp": "Prior", "PageDown": "Next", "Space": " "}
"""X keysyms of what tapes call otherwise."""

SENT = {"Enter": "\r", "Backspace": "\x7f", "Delete": "\x1b[3~", "Insert": "\x1b[2~", "Tab": "\t", "Space": " "}
SENT |= {"Escape": "\x1b", "PageUp": "\x1b[5~", "PageDown": "\x1b[6~"}
ARROWS = {"Up": "A", "Down": "B", "Right": "C", "Left": "D"}
CURSOR_MODE = re.compile(r"\x1b\[\?(?:[\d;]*;)?1(?:;[\d;]*)?([hl])")
"""A program asks for the other form of the arrow keys (DECCKM), or for the first one."""


class Press(NamedTuple):
    """One key: what is sent, what it is called, and the pause that follows. `held` are modifiers."""

    key: str
    name: str
    pause: float
    line: int
    held: tuple[str, ...] = ()


class Pause(NamedTuple):
    pause: float


class Curtain(NamedTuple):
    """Hide or Show."""

    hidden: bool


Step = Press | Pause | Curtain


@dataclass
class Roll:
    """The recording in the making. While the curtain is down, time stands still and keys are not seen; what was written
    meanwhile appears at once when it is raised."""

    entries: list[Entry] = field(default_factory=list)
    keys: list[list[Any]] = field(default_factory=list)
    clock: float = 0.0
    hidden: bool = False
    unseen: str = ""

    def wrote(self, text: str, after: float = 0.0) -> None:
        """`after` is in seconds since the clock's time."""
        if self.hidden:
            self.unseen += text
        elif text:
            self.entries.append(Entry(round(self.clock + after, 6), "o", text))

    def pressed(self, sent: str, name: str) -> None:
        if not self.hidden:
            self.entries.append(Entry(round(self.clock, 6), "i", sent))
            self.keys.append([round(self.clock, 6), name])

    def passed(self, seconds: float) -> None:
        if not self.hidden:
            self.clock += seconds

    def curtain(self, hidden: bool) -> None:
        self.hidden = hidden
        if not hidden:
            text, self.unseen = self.unseen, ""
            self.wrote(text)


def play(
    tape: Tape,
    sandbox: Sandbox | None = None,
    timed: bool = False,
    deadline: float = PATIENCE,
    limit: float = 60.0,
) -> Cast:
    """The recording of a tape: output, keys as sent ("i") and by name (meta["keys"]: time, X keysym, "ctrl+c" for
    chords), and in meta what its header says ("tape"), its theme and its duration.

    `deadline` is in seconds for each key, `limit` for all of it, on the machine's clock. Raises ValueError for a tape that
    cannot be played here, RecordingError ("NAME:LINE: reason") for one that came to nothing, SandboxError without a
    sandbox.
    """
    every = list(islice(steps(tape), MOST + 1))
    check(tape, every, limit if timed else LONGEST)
    rows, cols = size(tape.settings)
    environment = {"PS1": PROMPT, "PYTHON_BASIC_REPL": "1"} | dict(tape.environment)
    session = Session(SHELL, rows, cols, environment, deadline, sandbox or Sandbox(), SILENCE, LARGEST)
    with session:
        show = _Show(session, every, time.monotonic() + limit)
        try:
            roll = show.play(timed)
        except RecordingError as error:
            raise RecordingError(f"{tape.name}:{show.line}: {error}") from error
    return Cast(cols=cols, rows=rows, entries=tuple(roll.entries), meta=_meta(tape, roll))


def attempts(paths: Iterable[Path], **options: Any) -> Iterator[tuple[Path, Cast | str]]:
    """Every tape with its recording or the reason why there is none; `options` are `play`'s."""
    for path in paths:
        try:
            yield path, play(tapes.read(path), **options)
        except (ValueError, RecordingError, OSError) as error:
            yield path, str(error)


class _Show:
    """A session that is played to, and the roll."""

    def __init__(self, session: Session, every: Sequence[Step], end: float):
        self.session, self.every, self.end = session, every, end
        self.roll = Roll()
        self.line = 1
        self.application = False

    def play(self, timed: bool) -> Roll:
        """Raises RecordingError; `line` is then where."""
        self.roll.hidden = any(isinstance(step, Curtain) and step.hidden for step in self.every[:1])
        self.hear(self.session.settle())
        for place, step in enumerate(self.every):
            if isinstance(step, Curtain):
                self.roll.curtain(step.hidden)
                continue
            if isinstance(step, Press):
                self.line = step.line
                self.press(step)
                if not timed:
                    self.answer(step, place)
            if timed:
                for after, text in self.session.follow(step.pause, to_the_end=True):
                    self.hear(text, min(after, step.pause))
            self.roll.passed(step.pause)
        return self.roll

    def hear(self, text: str, after: float = 0.0) -> None:
        if modes := CURSOR_MODE.findall(text):
            self.application = modes[-1] == "h"
        self.roll.wrote(text, after)

    def press(self, press: Press) -> None:
        if time.monotonic() > self.end:
            raise RecordingError("takes longer than its limit")
        if self.session.ended:
            raise RecordingError("the shell has ended and is still typed to")
        sent = encode(press, self.application)
        self.roll.pressed(sent, "+".join([*map(str.lower, press.held), press.name]))
        self.session.press(sent)

    def answer(self, press: Press, place: int) -> None:
        """Takes what the key brought, in lock-step."""
        coming = range(place + 1, len(self.every))
        following = next((self.every[i] for i in coming if isinstance(self.every[i], Press)), None)
        pause = press.pause
        for step in (self.every[i] for i in coming):
            if not isinstance(step, Pause):
                break
            pause += step.pause
        if isinstance(following, Press) and "Ctrl" in following.held:
            heard = list(self.session.follow(max(pause, GRACE)))
        else:
            heard = self.session.answer(ending=following is None)
        live = (heard and heard[-1][0] > SLOW) or not self.session.settled
        for after, text in heard if live else [(0.0, "".join(text for _, text in heard))]:
            self.hear(text, min(after, pause))


def steps(tape: Tape) -> Iterator[Step]:
    """The tape's commands, key by key. Raises ValueError for one that is not played here."""
    copied = ""
    for command in tape.commands:
        if command.name in ("Type", "Paste"):
            text = command.text if command.name == "Type" else copied
            yield from (Press(key, key, command.seconds, command.line) for key in text)
        elif command.name in SENT or command.name in ARROWS:
            press = Press(command.name, NAMES.get(command.name, command.name), command.seconds, command.line)
            yield from repeat(press, command.times)
        elif command.name == "Chord":
            name = NAMES.get(command.text, command.text if len(command.text) > 1 else command.text.lower())
            yield Press(command.text, name, command.seconds, command.line, command.modifiers)
        elif command.name == "Sleep":
            yield Pause(command.seconds)
        elif command.name in ("Hide", "Show"):
            yield Curtain(command.name == "Hide")
        elif command.name == "Copy":
            copied = command.text
        elif command.name != "Screenshot":
            raise ValueError(f"{tape.name}:{command.line}: {_unplayed(command)}")


def _unplayed(command: Command) -> str:
    if command.name == "Wait":
        return "Wait is not played: in lock-step every key waits for its answer by itself; leave it out"
    return f"{command.name} moves the window of vhs, not the terminal; leave it out"


def check(tape: Tape, every: list[Step], limit: float) -> None:
    """Raises ValueError for a tape that cannot be played: too long, another shell, programs that are not there."""

    def refuse(rule: str) -> None:
        raise ValueError(f"{tape.name}: {rule}")

    if len(every) > MOST:
        refuse(f"has more than {MOST} keys and pauses; cut it in parts")
    seconds = sum(step.pause for step in every if not isinstance(step, Curtain))
    if seconds > limit:
        refuse(f"lasts {seconds:.6g} s, which is more than {limit:.6g}; shorten it")
    if (shell := tape.settings.get("Shell", "bash")) != "bash":
        refuse(f"Set Shell {shell}: only bash is played")
    missing = [program for program in tape.requires if not boxes.has(program)]
    if missing:
        refuse(f"Require {missing[0]}: is not installed; neural-computer install_sandbox has what generated tapes need")


def size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """(rows, columns) of the terminal in vhs's window: 12x61 where no font size is set.

    A cell of JetBrains Mono is .6 of the font's size wide and 1.32 high; ttyd's page keeps 25 pixels of the width and 10
    of the height for a scroll bar and its edges. The Clean videos (1600x900, size 40) have 12x61.
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
    """What a terminal sends for a key; `application` is the mode in which arrows have another form (DECCKM).

    Raises RecordingError for chords for which xterm sends nothing.
    """
    key, held = press.key, press.held
    if key in ARROWS:
        number = 1 + sum(value for value, name in ((1, "Shift"), (2, "Alt"), (4, "Ctrl")) if name in held)
        return f"\x1b[1;{number}{ARROWS[key]}" if held else f"\x1b{'O' if application else '['}{ARROWS[key]}"
    if "Shift" in held and (key == "Tab" or "Ctrl" in held):
        if key != "Tab":
            raise RecordingError(f"{'+'.join([*held, key])}: terminals send nothing for it; leave Shift out")
        return "\x1b[Z"
    sent = SENT.get(key, key.upper() if "Shift" in held else key)
    if "Ctrl" in held and key != "Enter":
        special = {"Backspace": "\x08", "Space": "\0", "-": "\x1f"}
        if key not in special and not (len(key) == 1 and "@" <= key.upper() <= "_"):
            raise RecordingError(f"{'+'.join([*held, key])}: terminals send nothing for it")
        sent = special[key] if key in special else chr(ord(key.upper()) & 0x1F)
    return "\x1b" + sent if "Alt" in held else sent


def _meta(tape: Tape, roll: Roll) -> dict[str, Any]:
    meta: dict[str, Any] = {"duration": round(roll.clock, 6), "command": "bash", "env": {"TERM": "xterm-256color"}}
    meta |= {"keys": roll.keys, "tape": dict(tape.meta)}
    if "ID" in tape.meta:
        meta["title"] = tape.meta["ID"]
    if isinstance(theme := tape.settings.get("Theme"), dict):
        colours = ["black", "red", "green", "yellow", "blue", "purple", "cyan", "white"]
        colours += ["bright" + colour.capitalize() for colour in colours]
        if all(isinstance(theme.get(name), str) for name in ("background", "foreground", *colours)):
            palette = ":".join(theme[colour] for colour in colours)
            meta["theme"] = {"fg": theme["foreground"], "bg": theme["background"], "palette": palette}
    return meta
