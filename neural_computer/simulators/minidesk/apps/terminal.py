"""A terminal with a shell of a few commands, which respond after LOAD_DELAY frames."""

from typing import NamedTuple

from neural_computer.simulators.minidesk import disk as disks
from neural_computer.simulators.minidesk.disk import Disk
from neural_computer.simulators.minidesk.font import HIGH, WIDE
from neural_computer.simulators.minidesk.state import BAR, LOAD_DELAY, Reply, View, Widget

MAX_LINES = 40
"""Lines of scrollback, at most."""
MAX_COMMAND = 40
"""Characters of a command, at most."""


class Terminal(NamedTuple):
    """A terminal's state: its lines, the shell's folder and the running command."""

    lines: tuple[str, ...] = ()
    typed: str = ""
    """after the prompt; several lines where the user typed ahead of a running command"""
    folder: str = ""
    running: str = ""
    wait: int = 0
    """frames until the running command responds"""
    up: int = 0
    """lines that are scrolled back"""

    @property
    def name(self) -> str:
        return "Term"

    @property
    def title(self) -> str:
        return f"Term {self.folder}".rstrip()

    @property
    def busy(self) -> bool:
        return self.wait > 0

    @property
    def prompt(self) -> str:
        return f"{self.folder.rpartition('/')[2]}$ "

    def layout(self, view: View) -> tuple[Widget, ...]:
        rows, cols = max(1, (view.h - BAR - 2) // HIGH), max(1, (view.w - 4) // WIDE)
        now = () if self.wait else (self.prompt + self.typed,)
        wrapped = [line[i : i + cols] for line in (*self.lines, *now) for i in range(0, max(1, len(line)), cols)]
        last = len(wrapped) - min(self.up, max(0, len(wrapped) - rows))
        shown = wrapped[max(0, last - rows) : last]
        lines = tuple(Widget("line", line, 2, BAR + i * HIGH, view.w - 4, HIGH) for i, line in enumerate(shown))
        page = Widget("shell", "", 1, BAR, view.w - 2, view.h - BAR - 1)
        end = 2 + len(shown[-1]) * WIDE if shown else 2
        caret = Widget("caret", "", min(end, view.w - 5), BAR + (len(shown) - 1) * HIGH, 3, HIGH)
        return (page, *lines, *((caret,) if shown and not self.wait and last == len(wrapped) else ()))

    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply:
        return Reply(self, view.disk)

    def choose(self, role: str, text: str, about: str, view: View) -> Reply:
        return Reply(self, view.disk)

    def key(self, key: str, view: View) -> Reply:
        if view.ctrl:
            stopped = self.print(self.prompt + self.typed)._replace(typed="")
            after = {"c": stopped, "l": self._replace(lines=())}.get(key, self)
            return Reply(after if not self.wait else self, view.disk)
        char = {"Return": "\n", "\r": "\n", "space": " "}.get(key, key)
        if key == "BackSpace":
            return Reply(self._replace(typed=self.typed[:-1], up=0), view.disk)
        if char == "\n" or (len(char) == 1 and char.isprintable() and len(self.typed) < MAX_COMMAND):
            return Reply(self._replace(typed=self.typed + char, up=0).run_next(), view.disk)
        return Reply(self, view.disk)

    def run_next(self) -> "Terminal":
        """Runs the next whole line of what was typed, if nothing runs."""
        line, end, rest = self.typed.partition("\n")
        if self.wait or not end:
            return self
        return self.print(self.prompt + line)._replace(running=line, typed=rest, wait=LOAD_DELAY)

    def print(self, *lines: str) -> "Terminal":
        """Appends lines to the scrollback."""
        return self._replace(lines=(*self.lines, *lines)[-MAX_LINES:])

    def scroll(self, notches: int, view: View) -> Reply:
        return Reply(self._replace(up=min(max(self.up - notches, 0), MAX_LINES)), view.disk)

    def tick(self, view: View) -> Reply:
        if self.wait != 1:
            return Reply(self._replace(wait=max(0, self.wait - 1)), view.disk)
        command, *words = self.running.split() or [""]
        output, disk = run(command, words, self.folder, view.disk)
        after = self.print(*output)._replace(wait=0, running="")
        target = disks.join(self.folder, "".join(words[:1]).rstrip("/")) if words else ""
        if command == "cd" and disks.is_folder(disk, target):
            after = after._replace(folder=target)
        if command == "clear":
            after = after._replace(lines=())
        return Reply(after.run_next(), disk, (("close", ""),) if command == "exit" else ())


def run(command: str, words: list[str], folder: str, disk: Disk) -> tuple[tuple[str, ...], Disk]:
    """(the lines that a command prints, the disk after it)."""
    path = disks.join(folder, words[0].rstrip("/")) if words else folder
    if command in ("", "clear", "exit"):
        return (), disk
    if command == "pwd":
        return ("/" + folder,), disk
    if command == "ls":
        return ((" ".join(disks.names(disk, path)),) if disks.is_folder(disk, path) else (f"no {path}",)), disk
    if command == "echo":
        return echo(words, folder, disk)
    if command == "cd":
        return (() if disks.is_folder(disk, path) else (f"no {path}",)), disk
    if command == "cat" and words:
        text = disks.read(disk, path)
        return ((f"no {path}",) if text is None else tuple(text.split("\n"))), disk
    if command == "mkdir" and words:
        after = disks.write(disk, path, None)
        return (() if after != disk else (f"no {path}",)), after
    if command == "rm" and words:
        after = disks.remove(disk, path)
        return (() if after != disk else (f"no {path}",)), after
    return (f"{command}?",), disk


def echo(words: list[str], folder: str, disk: Disk) -> tuple[tuple[str, ...], Disk]:
    """(the lines printed, the disk after it): the words go to the screen or, with ">", to a file."""
    if ">" not in words:
        return (" ".join(words),), disk
    at = words.index(">")
    path = disks.join(folder, "".join(words[at + 1 : at + 2]))
    after = disks.write(disk, path, " ".join(words[:at]))
    return (() if disks.read(after, path) == " ".join(words[:at]) else (f"no {path}",)), after
