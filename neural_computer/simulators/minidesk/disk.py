"""The desk's file system as a value: sorted pairs (path, text); a folder's text is None."""

Disk = tuple[tuple[str, str | None], ...]

LIMIT = 24
"""Files and folders on a disk, at most."""
MAX_NAME = 8
"""Characters of a name, at most."""
MAX_TEXT = 2000
"""Characters of a file, at most."""

START: Disk = (
    ("docs", None),
    ("docs/plan", "buy milk\ncall bob"),
    ("music", None),
    ("readme", "hello\nneural computer"),
)


def join(folder: str, name: str) -> str:
    """The path of a name in a folder; ".." is the parent. The root is ""."""
    if name == "..":
        return folder.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name


def names(disk: Disk, folder: str) -> tuple[str, ...]:
    """The names in a folder; those of folders end in a slash."""
    begin = f"{folder}/" if folder else ""
    below = [(path[len(begin) :], text) for path, text in disk if path.startswith(begin)]
    return tuple(name + ("/" if text is None else "") for name, text in below if name and "/" not in name)


def exists(disk: Disk, path: str) -> bool:
    """Is there a file or a folder of this path?"""
    return path == "" or any(there == path for there, _ in disk)


def is_folder(disk: Disk, path: str) -> bool:
    return path == "" or (path, None) in disk


def read(disk: Disk, path: str) -> str | None:
    """A file's text; None where there is no such file."""
    return dict(disk).get(path)


def write(disk: Disk, path: str, text: str | None) -> Disk:
    """The disk with a file or, with `text` None, a folder; unchanged where the name, the folder or LIMIT forbids it."""
    folder, _, name = path.rpartition("/")
    texts = dict(disk)
    valid = 0 < len(name) <= MAX_NAME and name.isalnum() and is_folder(disk, folder)
    full = path not in texts and len(disk) >= LIMIT
    clash = path in texts and (texts[path] is None or text is None)
    if not valid or full or clash:
        return disk
    return tuple(sorted((texts | {path: text if text is None else text[:MAX_TEXT]}).items()))


def remove(disk: Disk, path: str) -> Disk:
    """The disk without a file, or without a folder and everything in it."""
    return tuple((there, text) for there, text in disk if there != path and not there.startswith(path + "/"))
