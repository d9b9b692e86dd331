"""A file manager: rows to choose and to open."""

from typing import NamedTuple

from neural_computer.simulators.minidesk import disk as disks
from neural_computer.simulators.minidesk.state import BAR, Reply, View, Widget

ROW = 8


class Files(NamedTuple):
    """A file manager's state: its folder, the name of the chosen row and the index of the first row that is shown."""

    folder: str = ""
    chosen: str = ""
    top: int = 0

    @property
    def name(self) -> str:
        return "Files"

    @property
    def title(self) -> str:
        return "/" + self.folder

    @property
    def busy(self) -> bool:
        return False

    def rows(self, view: View) -> tuple[str, ...]:
        """The names in the folder, and ".." below the root."""
        return (*(("..",) if self.folder else ()), *disks.names(view.disk, self.folder))

    def layout(self, view: View) -> tuple[Widget, ...]:
        count = max(1, (view.h - BAR - 2) // ROW)
        rows = self.rows(view)[self.top : self.top + count]
        return tuple(
            Widget("row", name, 2, BAR + i * ROW, view.w - 4, ROW, name == self.chosen) for i, name in enumerate(rows)
        )

    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply:
        if widget.role != "row":
            return Reply(self._replace(chosen=""), view.disk)
        if clicks == 2:
            return self.open(widget.text, view)
        return Reply(self._replace(chosen=widget.text), view.disk, (("menu", widget.text),) if clicks == 0 else ())

    def choose(self, role: str, text: str, about: str, view: View) -> Reply:
        if role == "item" and text == "Open":
            return self.open(about, view)
        return self.delete(about, view) if role == "item" else Reply(self, view.disk)

    def open(self, name: str, view: View) -> Reply:
        """Goes to a folder, or requests the editor for a file."""
        path = disks.join(self.folder, name.rstrip("/"))
        if disks.is_folder(view.disk, path):
            return Reply(Files(path), view.disk)
        requests = (("edit", path),) if disks.exists(view.disk, path) else ()
        return Reply(self, view.disk, requests)

    def delete(self, name: str, view: View) -> Reply:
        disk = view.disk if name in ("", "..") else disks.remove(view.disk, disks.join(self.folder, name.rstrip("/")))
        return Reply(self._replace(chosen="", top=0), disk)

    def key(self, key: str, view: View) -> Reply:
        rows = self.rows(view)
        if key in ("Up", "Down") and rows:
            at = rows.index(self.chosen) + (1 if key == "Down" else -1) if self.chosen in rows else 0
            at = min(max(at, 0), len(rows) - 1)
            count = max(1, (view.h - BAR - 2) // ROW)
            top = min(max(self.top, at - count + 1), at)
            return Reply(self._replace(chosen=rows[at], top=top), view.disk)
        if key == "BackSpace":
            return self.open("..", view) if self.folder else Reply(self, view.disk)
        if key == "Return" and self.chosen in rows:
            return self.open(self.chosen, view)
        return self.delete(self.chosen, view) if key == "Delete" and self.chosen in rows else Reply(self, view.disk)

    def scroll(self, notches: int, view: View) -> Reply:
        last = max(0, len(self.rows(view)) - max(1, (view.h - BAR - 2) // ROW))
        return Reply(self._replace(top=min(max(self.top + notches, 0), last)), view.disk)

    def tick(self, view: View) -> Reply:
        return Reply(self, view.disk)
