"""A text editor: a caret, lines, Save and New."""

from typing import NamedTuple

from neural_computer.simulators.minidesk import disk as disks
from neural_computer.simulators.minidesk.font import HIGH, WIDE
from neural_computer.simulators.minidesk.state import BAR, Reply, View, Widget

TOP = BAR + 9
LINES, COLUMNS = 40, 60
STEPS = {"Left": (0, -1), "Right": (0, 1), "Up": (-1, 0), "Down": (1, 0), "Prior": (-5, 0), "Next": (5, 0)}


def text_size(view: View) -> tuple[int, int]:
    """Rows and columns of text that fit in a window."""
    return max(1, (view.h - TOP - 2) // HIGH), max(1, (view.w - 4) // WIDE)


class Editor(NamedTuple):
    """An editor's state: the file's path, "" for a new one, its lines and the caret's row and column."""

    path: str = ""
    lines: tuple[str, ...] = ("",)
    row: int = 0
    col: int = 0
    top: int = 0
    """index of the first line that is shown"""
    saved: bool = True

    @property
    def name(self) -> str:
        return "Edit"

    @property
    def title(self) -> str:
        return f"{'' if self.saved else '*'}{self.path.rpartition('/')[2] or 'new'}"

    @property
    def busy(self) -> bool:
        return False

    def layout(self, view: View) -> tuple[Widget, ...]:
        rows, cols = text_size(view)
        left = max(0, self.col - cols + 1)
        lines = tuple(
            Widget("line", line[left : left + cols], 2, TOP + i * HIGH, view.w - 4, HIGH)
            for i, line in enumerate(self.lines[self.top : self.top + rows])
        )
        page = Widget("page", "", 1, TOP - 1, view.w - 2, view.h - TOP)
        caret_shows = 0 <= self.row - self.top < rows
        caret = Widget("caret", "", 1 + (self.col - left) * WIDE, TOP + (self.row - self.top) * HIGH, 1, HIGH)
        tools = (Widget("button", "Save", 2, BAR, 20, 8), Widget("button", "New", 23, BAR, 16, 8))
        return (*tools, page, *lines, *((caret,) if caret_shows else ()))

    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply:
        if widget.role not in ("page", "line"):
            return Reply(self, view.disk)
        rows, cols = text_size(view)
        row = self.top + (y - TOP) // HIGH
        col = (x - 1) // WIDE + max(0, self.col - cols + 1)
        return Reply(self.move_caret(row, col), view.disk)

    def choose(self, role: str, text: str, about: str, view: View) -> Reply:
        if role == "button" and text == "Save":
            return self.save(view)
        return Reply(Editor() if role == "button" else self, view.disk)

    def save(self, view: View) -> Reply:
        """Writes the file; a new one under the first free name of note, note1, note2 ..."""
        free = (f"note{n or ''}" for n in range(disks.LIMIT + 1))
        path = self.path or next(name for name in free if not disks.exists(view.disk, name))
        text = "\n".join(self.lines)
        disk = disks.write(view.disk, path, text)
        written = disks.read(disk, path) == text
        return Reply(self._replace(path=path, saved=True) if written else self, disk)

    def move_caret(self, row: int, col: int) -> "Editor":
        """Moves the caret to a row and a column, or the nearest that has text."""
        row = min(max(row, 0), len(self.lines) - 1)
        return self._replace(row=row, col=min(max(col, 0), len(self.lines[row])))

    def key(self, key: str, view: View) -> Reply:
        if view.ctrl:
            return self.save(view) if key == "s" else Reply(Editor() if key == "n" else self, view.disk)
        return Reply(self.press_key(key).scroll_to_caret(text_size(view)[0]), view.disk)

    def press_key(self, key: str) -> "Editor":
        """The editor after a key without Control."""
        before, line, after = self.lines[: self.row], self.lines[self.row], self.lines[self.row + 1 :]
        left, right = line[: self.col], line[self.col :]
        if key in STEPS:
            down, ahead = STEPS[key]
            return self.move_caret(self.row + down, self.col + ahead)
        if key in ("Home", "End"):
            return self.move_caret(self.row, 0 if key == "Home" else len(line))
        if key in ("Return", "\n", "\r") and len(self.lines) < LINES:
            return self._replace(lines=(*before, left, right, *after), row=self.row + 1, col=0, saved=False)
        if key == "BackSpace" and left:
            return self._replace(lines=(*before, left[:-1] + right, *after), col=self.col - 1, saved=False)
        if key == "BackSpace" and before and len(before[-1]) + len(line) <= COLUMNS:
            lines, col = (*before[:-1], before[-1] + line, *after), len(before[-1])
            return self._replace(lines=lines, row=self.row - 1, col=col, saved=False)
        if key == "Delete" and right:
            return self._replace(lines=(*before, left + right[1:], *after), saved=False)
        char = {"space": " ", "Tab": " ", "\t": " "}.get(key, key)
        if len(char) == 1 and char.isprintable() and len(line) < COLUMNS:
            return self._replace(lines=(*before, left + char + right, *after), col=self.col + 1, saved=False)
        return self

    def scroll_to_caret(self, rows: int) -> "Editor":
        """Scrolls so that the caret is among the `rows` rows that are shown."""
        return self._replace(top=min(max(self.top, self.row - rows + 1), self.row))

    def scroll(self, notches: int, view: View) -> Reply:
        last = max(0, len(self.lines) - text_size(view)[0])
        return Reply(self._replace(top=min(max(self.top + notches, 0), last)), view.disk)

    def tick(self, view: View) -> Reply:
        return Reply(self, view.disk)
