"""Tapes, the scripts of charmbracelet's vhs, as typed commands. What vhs rejects is rejected, with file, line, column, rule.

The grammar follows vhs's lexer and parser: words, numbers, strings without escapes that end at the same quote on the same
line, JSON to the first }, comments to the end of the line. Rejected here, although vhs types or ignores them: a string
without a closing quote, a word on the line after Type, a count that is no whole number, Ctrl with several keys. Also
rejected: Source (a tape is one file). `Home` and `End` are words to vhs, not keys, and are rejected as there.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.recording.terminal.tape_words import KEYWORDS, Token, TokenReader, shown

LARGEST = 1 << 20
"""Bytes of a tape at most"""

KEYS = (
    *("Enter", "Backspace", "Delete", "Insert", "Tab", "Space", "Escape", "Up", "Down", "Left", "Right"),
    *("PageUp", "PageDown", "ScrollUp", "ScrollDown"),
)
MODIFIERS = ("Ctrl", "Alt", "Shift")
CTRL_KEYS = ("Enter", "Space", "Backspace", "Left", "Right", "Up", "Down")
"""Named keys that Ctrl+ takes; Alt+ and Shift+ take Enter and Tab."""

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh", "cmd", "nu", "osh", "xonsh")
BARS = ("", "Colorful", "ColorfulRight", "Rings", "RingsRight")
JSON_HEADERS = ("CLASS", "LEVEL", "INTERACTIVE", "EVENTS", "VISUAL_COMPLEXITY")


class Command(NamedTuple):
    """One command of a tape. `name` is Type, Sleep, Hide, Show, Wait, Screenshot, Copy, Paste, Chord or one of KEYS."""

    name: str
    text: str = ""
    """Text to type or copy, Wait's pattern, or a path; of a chord the key: a character or one of KEYS"""
    seconds: float = 0.0
    """Length of a Sleep, limit of a Wait, else the pause after every key"""
    times: int = 1
    modifiers: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Tape:
    """A parsed tape: its commands, the settings of its terminal and its header."""

    commands: tuple[Command, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """{KEY: VALUE} of Set before the first command: int, float (times in seconds), bool, str, or a theme's dict"""
    requires: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Comments `# KEY: value`: ID, INSTRUCTION, CLASS, LEVEL and others"""
    ignored: tuple[str, ...] = ()
    """Settings and requirements after the first command, with their lines: vhs reads them without effect"""
    name: str = "tape"


def read(path: Path | str) -> Tape:
    """Tape of a file. Raises ValueError "FILE:LINE:COLUMN: rule; way out"."""
    data = Path(path).read_bytes()
    if len(data) > LARGEST:
        raise ValueError(f"{path}:1:1: holds {len(data)} bytes; a tape has at most {LARGEST}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ValueError(f"{path}:{line}:{column}: is not UTF-8; a tape is text") from error
    return parse(text, str(path))


def parse(text: str, name: str = "tape") -> Tape:
    """Tape of a text. Raises ValueError "NAME:LINE:COLUMN: rule; way out"."""
    return _Parser(text, name).tape()


class _Parser(TokenReader):
    """Collects the parts of a tape in one pass over its tokens."""

    def __init__(self, text: str, name: str):
        super().__init__(text, name)
        self.speed = 0.05
        self.settings: dict[str, Any] = {}
        self.requires: list[str] = []
        self.environment: dict[str, str] = {}
        self.outputs: list[str] = []
        self.ignored: list[str] = []
        self.commands: list[Command] = []
        self.started = False

    def tape(self) -> Tape:
        while self.ahead.kind != "end":
            self.command(self.take())
        if len(self.tokens) == 1:
            self.fail(self.tokens[0], "holds no command")
        return Tape(
            commands=tuple(self.commands),
            settings=self.settings,
            requires=tuple(self.requires),
            environment=self.environment,
            outputs=tuple(self.outputs),
            meta=dict(_headers(self.comments)),
            ignored=tuple(self.ignored),
            name=self.name,
        )

    # Commands

    def command(self, token: Token) -> None:
        """Parses the command that begins with this token."""
        if token.kind != "word" or token.text not in (*COMMANDS, *KEYS, *MODIFIERS):
            self.fail(token, f"{shown(token)} is no command of vhs")
        if token.text in COMMANDS:
            COMMANDS[token.text](self, token)
        elif token.text in KEYS:
            pause = self.time("@") if self.sign("@") else self.speed
            self.add(token, token.text, seconds=pause, times=self.times())
        else:
            self.chord(token)
        self.started |= token.text not in ("Set", "Output", "Require")

    def add(self, token: Token, name: str, text: str = "", **rest: Any) -> None:
        self.commands.append(Command(name, text, line=token.line, **rest))

    def times(self) -> int:
        if not self.next_is("number"):
            return 1
        token = self.take()
        if not re.fullmatch("[0-9]{1,6}", token.text):
            self.fail(token, f"the count is a whole number below a million, not {token.text[:40]}")
        return int(token.text)

    def chord(self, token: Token) -> None:
        """Ctrl+[Alt+][Shift+]key, Alt+key, Shift+key."""
        modifiers, key = [token.text], ""
        while not key and self.sign("+"):
            part = self.take()
            if token.text == "Ctrl" and part.kind == "word" and part.text in ("Alt", "Shift"):
                modifiers.append(part.text)
                continue
            key = part.text[1:-1] if part.kind == "string" else part.text
            named = CTRL_KEYS if token.text == "Ctrl" else ("Enter", "Tab")
            signs = "-@[]^\\" if token.text == "Ctrl" else "[]"
            plain = part.kind in ("string", "word") and len(key) == 1 and key.isascii() and part.text not in KEYWORDS
            if not (plain or key in named or (part.kind == "sign" and key in signs)):
                self.fail(part, f"{token.text}+ takes a character or {', '.join(named)}, not {shown(part)}")
        if not key:
            self.fail(token, f"{token.text}+ needs a key")
        self.add(token, "Chord", key, seconds=0.0, modifiers=tuple(modifiers))

    def words(self, token: Token) -> str:
        """Strings and bare words up to the end of the line, at least one, joined by blanks as vhs joins them."""
        parts = [self.text(f"{token.text} takes a string")]
        while (follower := self.ahead).line == token.line:
            if not (follower.kind in ("string", "open") or (follower.kind == "word" and follower.text not in KEYWORDS)):
                break
            parts.append(self.text(f"{token.text} takes a string"))
        return " ".join(parts)

    def type(self, token: Token) -> None:
        pause = self.time("@") if self.sign("@") else self.speed
        self.add(token, "Type", self.words(token), seconds=pause)

    def require(self, token: Token) -> None:
        program = self.text("Require takes a program's name")
        if self.started:
            self.ignored.append(f"{self.name}:{token.line}: Require {program} after the first command")
        else:
            self.requires.append(program)

    def output(self, token: Token) -> None:
        path = self.text("Output takes a path")
        if not Path(path).suffix and not path.endswith("/"):
            self.fail(token, f"Output {path}: a folder ends in /, a video in its kind (.gif, .mp4, .webm)")
        self.outputs.append(path)

    def screenshot(self, token: Token) -> None:
        path = self.text("Screenshot takes a path")
        if not path.endswith(".png"):
            self.fail(token, f"Screenshot {path}: must end in .png")
        self.add(token, "Screenshot", path)

    def env(self, token: Token) -> None:
        key = self.text("Env takes a name and a string")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            self.fail(token, f"Env {key}: is no name of a variable")
        self.environment[key] = self.text(f"Env {key} takes a string")

    def wait(self, token: Token) -> None:
        scope = "Line"
        if self.sign("+"):
            scope = self.text("Wait+ takes Line or Screen")
            if scope not in ("Line", "Screen"):
                self.fail(token, f"Wait+ takes Line or Screen, not {scope}")
        limit = self.time("@") if self.sign("@") else 15.0
        pattern = self.take().text.strip("/") if self.next_is("regex") else ""
        self.add(token, "Wait", f"{scope} {pattern}".strip(), seconds=limit)

    def source(self, token: Token) -> None:
        self.fail(token, "Source is not followed: a tape is one file; put the other tape's commands here")

    def set(self, token: Token) -> None:
        key = self.take()
        if key.text not in SETTINGS:
            self.fail(key, f"{shown(key)} is no setting; there are {', '.join(SETTINGS)}")
        value = SETTINGS[key.text](self, key)
        if key.text == "TypingSpeed":
            self.speed = value
        if not self.started:
            self.settings[key.text] = value
        elif key.text != "TypingSpeed":
            self.ignored.append(f"{self.name}:{token.line}: Set {key.text} after the first command")

    # Values of settings

    def whole(self, key: Token) -> int:
        token, value = self.ahead, self.decimal(key)
        if value != int(value):
            self.fail(token, f"{key.text} takes a whole number, not {token.text}")
        return int(value)

    def decimal(self, key: Token) -> float:
        rule = f"{key.text} takes a number"
        if not self.next_is("string"):
            return self.number(rule)
        token = self.take()
        if not re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,9}", token.text[1:-1]):
            self.fail(token, f"{rule}, not {shown(token)}")
        return float(token.text[1:-1])

    def percent(self, key: Token) -> float:
        value = self.number(f"{key.text} takes a number, with or without %")
        self.sign("%")
        return value

    def truth(self, key: Token) -> bool:
        token = self.take()
        if token.text not in ("true", "false"):
            self.fail(token, f"{key.text} takes true or false, not {shown(token)}")
        return token.text == "true"

    def choice(self, key: Token, allowed: tuple[str, ...]) -> str:
        token, value = self.ahead, self.text(f"{key.text} takes a string")
        if value not in allowed:
            self.fail(token, f"{key.text} takes one of {', '.join(allowed)}, not {value!r}")
        return value

    def fill(self, key: Token) -> str:
        token, value = self.ahead, self.text(f"{key.text} takes a string")
        if value.startswith("#") and not re.fullmatch("#[0-9A-Fa-f]{6}", value):
            self.fail(token, f"{value} is no colour; write it as #rrggbb")
        return value

    def theme(self, key: Token) -> Any:
        if not self.next_is("json"):
            return self.text("Theme takes a name or a JSON object")
        token = self.take()
        try:
            return json.loads(token.text)
        except (ValueError, RecursionError) as error:
            self.fail(token, f"the theme is no JSON: {error}")

    def pattern(self, key: Token) -> str:
        return self.take().text.strip("/") if self.next_is("regex") else self.text("WaitPattern takes a pattern")


def _headers(comments: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """(KEY, value) of comments `# KEY: value`; values of JSON_HEADERS are decoded where they are valid JSON."""
    for comment in comments:
        if match := re.fullmatch(r"# ?([A-Z][A-Z_]*): ?(.*)", comment.rstrip()):
            key, value = match.groups()
            try:
                yield key, json.loads(value) if key in JSON_HEADERS else value
            except (ValueError, RecursionError):
                yield key, value


COMMANDS: dict[str, Callable[[_Parser, Token], None]] = {
    "Type": _Parser.type,
    "Sleep": lambda parser, token: parser.add(token, "Sleep", seconds=parser.time("Sleep")),
    "Set": _Parser.set,
    "Output": _Parser.output,
    "Require": _Parser.require,
    "Hide": lambda parser, token: parser.add(token, "Hide"),
    "Show": lambda parser, token: parser.add(token, "Show"),
    "Env": _Parser.env,
    "Wait": _Parser.wait,
    "Screenshot": _Parser.screenshot,
    "Copy": lambda parser, token: parser.add(token, "Copy", parser.words(token)),
    "Paste": lambda parser, token: parser.add(token, "Paste"),
    "Source": _Parser.source,
}

SETTINGS: dict[str, Callable[[_Parser, Token], Any]] = {
    **dict.fromkeys(("FontSize", "Width", "Height", "Padding", "Margin", "BorderRadius"), _Parser.whole),
    **dict.fromkeys(("WindowBarSize", "Framerate"), _Parser.whole),
    **dict.fromkeys(("LineHeight", "LetterSpacing", "PlaybackSpeed"), _Parser.decimal),
    **dict.fromkeys(("TypingSpeed", "WaitTimeout"), lambda parser, key: parser.time(key.text)),
    "Shell": lambda parser, key: parser.choice(key, SHELLS),
    "WindowBar": lambda parser, key: parser.choice(key, BARS),
    "FontFamily": lambda parser, key: parser.text("FontFamily takes a string"),
    "MarginFill": _Parser.fill,
    "Theme": _Parser.theme,
    "LoopOffset": _Parser.percent,
    "CursorBlink": _Parser.truth,
    "WaitPattern": _Parser.pattern,
}
