"""The words of tapes: text to tokens, and a reader over them that says where something is wrong."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}

NAMES = """
em px ms s m true false Set Output Require Source Env Sleep Type Wait Hide Show Screenshot Copy Paste Ctrl Alt Shift
Enter Space Backspace Delete Insert Tab Escape End Up Down Left Right PageUp PageDown ScrollUp ScrollDown
Shell FontFamily FontSize LetterSpacing LineHeight Theme Width Height Padding Margin MarginFill BorderRadius WindowBar
WindowBarSize Framerate PlaybackSpeed TypingSpeed LoopOffset CursorBlink WaitTimeout WaitPattern
"""
KEYWORDS = frozenset(NAMES.split())
"""vhs takes these for no string, unless they are quoted."""


class Token(NamedTuple):
    kind: str
    text: str
    line: int
    column: int


# Nothing in here can fail after a long way, so that reading takes a time in proportion to the text.
TOKENS = re.compile(
    r"""(?P<blank>[ \t\r\n]+)|(?P<comment>\#[^\r\n]*)
    |(?P<string>"[^"\r\n]*"|'[^'\r\n]*'|`[^`\r\n]*`)|(?P<open>["'`][^\r\n]*)
    |(?P<json>\{[^}]*\}?)|(?P<regex>/(?:[^/\\\r\n]|\\[^\r\n])*/?)
    |(?P<number>\.?[0-9][0-9.]*)|(?P<word>[A-Za-z.][A-Za-z0-9._/%-]*)
    |(?P<sign>[@=\[\]%^\\+-])|(?P<illegal>.)""",
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[Token]:
    """What the text is made of, blanks left out, then an "end"; lines and columns (in characters) count from one."""
    line, start = 1, 0
    for found in TOKENS.finditer(text):
        if found.lastgroup != "blank":
            yield Token(found.lastgroup or "", found.group(), line, found.start() - start + 1)
        if breaks := found.group().count("\n"):
            line, start = line + breaks, found.start() + found.group().rindex("\n") + 1
    yield Token("end", "", line, len(text) - start + 1)


class Reader:
    """The tokens of a tape that are no comments, one after another, with one token in sight.

    What does not fit is a ValueError, "NAME:LINE:COLUMN: rule".
    """

    def __init__(self, text: str, name: str):
        self.name = name
        every = list(tokens(text))
        self.left = [token for token in every if token.kind != "comment"]
        self.comments = [token.text for token in every if token.kind == "comment"]
        self.place = 0

    def take(self) -> Token:
        token = self.ahead
        if token.kind == "open":
            self.fail(token, "the string has no end; it ends at the same quote, on the same line")
        if token.kind != "end":
            self.place += 1
        return token

    @property
    def ahead(self) -> Token:
        return self.left[self.place]

    def next_is(self, *kinds: str) -> bool:
        return self.ahead.kind in kinds

    def sign(self, mark: str) -> bool:
        """Takes the sign, if it comes next."""
        here = self.next_is("sign") and self.ahead.text == mark
        self.place += here
        return here

    def fail(self, token: Token, rule: str) -> NoReturn:
        """Raises the error; behind a string on the same line, it is most likely the string that ended too soon."""
        if any(other.kind == "string" and other.line == token.line for other in self.left[: self.place]):
            rule = f"{rule}; a string ends at its quote, \\ before it or not: quote it with another of \" ' `"
        raise ValueError(f"{self.name}:{token.line}:{token.column}: {rule}")

    def text(self, what: str) -> str:
        """A string's content or a bare word that is no keyword of units, keys or commands."""
        token = self.take()
        if token.kind == "string":
            return token.text[1:-1]
        if token.kind != "word" or token.text in KEYWORDS:
            self.fail(token, f"{what}, not {shown(token)}")
        return token.text

    def number(self, what: str) -> float:
        token = self.take()
        try:
            value = float(token.text) if token.kind == "number" else math.inf
        except ValueError:
            value = math.inf
        if value == math.inf:
            self.fail(token, f"{what}, not {shown(token)}")
        return value

    def time(self, after: str) -> float:
        """Seconds: a number, then ms, s (also understood) or m."""
        value = self.number(f"{after} takes a time (500ms, 1.5s)")
        if self.next_is("word") and self.ahead.text in UNITS:
            value *= UNITS[self.take().text]
        return value


def shown(token: Token) -> str:
    return "the end of the tape" if token.kind == "end" else repr(token.text[:40])
