"""Tokens of tapes, and a reader over them whose errors name the line and the column."""

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
"""Words that vhs takes for a string only if they are quoted"""


class Token(NamedTuple):
    """One token: `kind` is the name of its group in TOKENS, or "end". Lines and columns count from one."""

    kind: str
    text: str
    line: int
    column: int


# No alternative can fail after a long match, so that reading takes time in proportion to the text.
TOKENS = re.compile(
    r"""(?P<blank>[ \t\r\n]+)|(?P<comment>\#[^\r\n]*)
    |(?P<string>"[^"\r\n]*"|'[^'\r\n]*'|`[^`\r\n]*`)|(?P<open>["'`][^\r\n]*)
    |(?P<json>\{[^}]*\}?)|(?P<regex>/(?:[^/\\\r\n]|\\[^\r\n])*/?)
    |(?P<number>\.?[0-9][0-9.]*)|(?P<word>[A-Za-z.][A-Za-z0-9._/%-]*)
    |(?P<sign>[@=\[\]%^\\+-])|(?P<illegal>.)""",
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[Token]:
    """Tokens of a text without its blanks, then one of kind "end". Columns are in characters."""
    line, start = 1, 0
    for match in TOKENS.finditer(text):
        if match.lastgroup != "blank":
            yield Token(match.lastgroup or "", match.group(), line, match.start() - start + 1)
        if breaks := match.group().count("\n"):
            line, start = line + breaks, match.start() + match.group().rindex("\n") + 1
    yield Token("end", "", line, len(text) - start + 1)


class TokenReader:
    """Reads the tokens of a tape one after another, comments left out, and looks one token ahead.

    Errors are ValueError "NAME:LINE:COLUMN: rule".
    """

    def __init__(self, text: str, name: str):
        self.name = name
        with_comments = list(tokens(text))
        self.tokens = [token for token in with_comments if token.kind != "comment"]
        self.comments = [token.text for token in with_comments if token.kind == "comment"]
        self.place = 0

    def take(self) -> Token:
        """Returns the next token and moves on; stays at the end. Raises ValueError for a string without an end."""
        token = self.ahead
        if token.kind == "open":
            self.fail(token, "the string has no end; it ends at the same quote, on the same line")
        if token.kind != "end":
            self.place += 1
        return token

    @property
    def ahead(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    def next_is(self, *kinds: str) -> bool:
        """Whether the next token is of one of these kinds."""
        return self.ahead.kind in kinds

    def sign(self, mark: str) -> bool:
        """Takes this sign if it comes next; returns whether it does."""
        matches = self.next_is("sign") and self.ahead.text == mark
        self.place += matches
        return matches

    def fail(self, token: Token, rule: str) -> NoReturn:
        """Raises ValueError with the token's place. Behind a string on the same line, the string likely ended too soon."""
        if any(other.kind == "string" and other.line == token.line for other in self.tokens[: self.place]):
            rule = f"{rule}; a string ends at its quote, \\ before it or not: quote it with another of \" ' `"
        raise ValueError(f"{self.name}:{token.line}:{token.column}: {rule}")

    def text(self, what: str) -> str:
        """Content of a string, or a bare word that is no keyword; `what` says in errors what is expected."""
        token = self.take()
        if token.kind == "string":
            return token.text[1:-1]
        if token.kind != "word" or token.text in KEYWORDS:
            self.fail(token, f"{what}, not {shown(token)}")
        return token.text

    def number(self, what: str) -> float:
        """A number that is finite; `what` says in errors what is expected."""
        token = self.take()
        try:
            value = float(token.text) if token.kind == "number" else math.inf
        except ValueError:
            value = math.inf
        if value == math.inf:
            self.fail(token, f"{what}, not {shown(token)}")
        return value

    def time(self, after: str) -> float:
        """Seconds: a number, then ms, s or m; s may be left out."""
        value = self.number(f"{after} takes a time (500ms, 1.5s)")
        if self.next_is("word") and self.ahead.text in UNITS:
            value *= UNITS[self.take().text]
        return value


def shown(token: Token) -> str:
    """The token as error messages show it."""
    return "the end of the tape" if token.kind == "end" else repr(token.text[:40])
