"""The desk's file system: a value. A disk is sorted pairs of a path and a text; a folder's text is None."""

Disk = tuple[tuple[str, str | None], ...]

LIMIT = 24
"""Files and folders that a disk has room for."""
LONGEST = 8
"""Characters of a name."""
TEXT = 2000
"""Characters of a file."""

START: Disk = (
    ("docs", None),
    ("docs/plan", "buy milk\ncall bob"),
    ("music", None),
    ("readme", "hello\nneural computer"),
)


def join(folder: str, name: str) -> str:
    """The path of a name as seen from a folder; the root is ""."""
    if name == "..":
        return folder.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name


def names(disk: Disk, folder: str) -> tuple[str, ...]:
    """What a folder holds; folders end in a slash."""
    begin = f"{folder}/" if folder else ""
    found = [(path[len(begin) :], text) for path, text in disk if path.startswith(begin)]
    return tuple(name + ("/" if text is None else "") for name, text in found if name and "/" not in name)


def holds(disk: Disk, path: str) -> bool:
    return path == "" or any(there == path for there, _ in disk)


def is_folder(disk: Disk, path: str) -> bool:
    return path == "" or (path, None) in disk


def read(disk: Disk, path: str) -> str | None:
    """A file's text; None where there is no such file."""
    return dict(disk).get(path)


def write(disk: Disk, path: str, text: str | None) -> Disk:
    """The disk with a file, or with `text` None a folder; unchanged where name, place or room do not allow it."""
    folder, _, name = path.rpartition("/")
    known = dict(disk)
    good = 0 < len(name) <= LONGEST and name.isalnum() and is_folder(disk, folder)
    full = path not in known and len(disk) >= LIMIT
    clash = path in known and (known[path] is None or text is None)
    if not good or full or clash:
        return disk
    return tuple(sorted((known | {path: text if text is None else text[:TEXT]}).items()))


def remove(disk: Disk, path: str) -> Disk:
    """The disk without a file, or without a folder and all that it holds."""
    return tuple((there, text) for there, text in disk if there != path and not there.startswith(path + "/"))
