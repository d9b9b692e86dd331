"""Programs that nobody vouches for, started where they can reach nothing: bubblewrap, without privileges, with limits.

Inside there is /usr to read, three small scratch folders to write (home, /workspace, /tmp) and nothing else: no network,
no process, user, host name or System V object of outside, no capability, no user namespace to make new ones in.
The uid is dropped first: bubblewrap started by root could remount / writable and write /proc/sys.

Memory is bounded by processes x address space, plus the scratch folders; what the kernel would keep for a process beyond
its address space (memfd, System V segments, io_uring) is refused by a seccomp filter.

Why not Docker: it needs a daemon and its socket, which is root for whoever may write there; a start takes a second where
bubblewrap takes milliseconds; and a container's default is a root with capabilities, a network and no limits.
"""

import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

UID = 64976
"""Whom root becomes: an id that no account has. An ordinary user stays who they are."""

PERSON, PERSON_ID, HOST = "NeuralComputer", 1976, "NeuralComputer"
HOME, WORKSPACE = f"/home/{PERSON}", "/workspace"
"""Who one is inside and where: as on the recordings that the paper's data engine ships."""

INSTALL = "bash launch/install_sandbox.sh"
"""The command that installs bubblewrap, Python and the programs of generated tapes"""

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games:/opt/bin"
ENVIRONMENT = {"USER": PERSON, "LOGNAME": PERSON, "PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
ENVIRONMENT |= {"TERM": "xterm-256color", "TZ": "UTC", "INPUTRC": "/dev/null"}

VISIBLE = ("/usr/", "/bin/", "/sbin/")
"""Folders of the machine whose programs are there inside"""

FILES = {
    "/etc/passwd": f"{PERSON}:x:{PERSON_ID}:{PERSON_ID}::{HOME}:/bin/bash\n",
    "/etc/group": f"{PERSON}:x:{PERSON_ID}:\n",
    "/etc/hosts": f"127.0.0.1 localhost {HOST}\n",
}

MACHINES = {
    # audit number; memfd_create memfd_secret shmget msgget io_uring_setup userfaultfd ptrace bpf perf_event_open
    # add_key request_key keyctl
    "x86_64": (0xC000003E, (319, 447, 29, 68, 425, 323, 101, 321, 298, 248, 249, 250)),
    "aarch64": (0xC00000B7, (279, 447, 194, 186, 425, 282, 117, 280, 241, 217, 218, 219)),
}
"""What the filter refuses, by machine: memory beyond the address space, and doors that a shell session needs not."""


GUARD = ("/bin/bash", "-c", 'read -t 0 -u "$0" && exit 1; life=$0; exec {life}<&- "$@"')
"""bubblewrap dies with whoever started it, but only once it runs: one that was killed before would leave an orphan. So the
first thing inside, when bubblewrap is on its guard, is to look whether the other end of a pipe is still held."""


class SandboxError(RuntimeError):
    """There is no sandbox here; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What a sandboxed program may use. Sizes in bytes."""

    processes: int = 32
    memory: int = 256 << 20
    """Address space of each process"""
    cpu: int = 20
    """Seconds of each process"""
    file: int = 16 << 20
    """Largest file, and the size of each of the three scratch folders"""
    open_files: int = 128


@dataclass(frozen=True)
class Sandbox:
    """Starts programs that can reach nothing. `unsafe` starts them without bubblewrap where it does not work: under the
    limits and the dropped uid, but with the machine's files and network in reach; only for programs you wrote."""

    limits: Limits = field(default_factory=Limits)
    unsafe: bool = False
    reads: Mapping[str, str] = field(default_factory=dict)
    """{path inside: path of outside that can be read there, if there is one}"""
    shares: Mapping[str, str] = field(default_factory=dict)
    """{path inside: folder of outside that stands there, to be written}"""
    files: Mapping[str, str] = field(default_factory=dict)
    """{path inside: text of a file there}, beside FILES"""

    def start(self, argv: Sequence[str], environment: Mapping[str, str], home: str, **options: Any) -> subprocess.Popen:
        """The program, started; `options` are Popen's. It sees ENVIRONMENT and `environment`.

        `home` is an empty folder outside, which serves where `unsafe` applies. Raises SandboxError where there is no
        sandbox.
        """
        inner = [*self._limited(), *argv]
        if confined(self.unsafe):
            # bubblewrap itself must not heed what a tape sets: LD_PRELOAD, PATH.
            life = _life(os.getpid())
            inner = [*GUARD, str(life), *_environment(ENVIRONMENT | dict(environment)), *inner]
            files = [_file(_filter()), *(_file(text.encode()) for text in self._files.values())]
            try:
                return subprocess.Popen(
                    [*self._walls(files), *inner], env={}, cwd="/", pass_fds=[*files, life], **_dropped(), **options
                )
            finally:
                for file in files:
                    os.close(file)
        if os.getuid() == 0:
            os.chown(home, UID, UID)
        inner = [*_environment(ENVIRONMENT | {"HOME": home} | dict(environment)), *inner]
        return subprocess.Popen(inner, env={}, cwd=home, **_dropped(), **options)

    @property
    def _files(self) -> Mapping[str, str]:
        return {**FILES, **self.files}

    def _limited(self) -> list[str]:
        """Inside the walls, so that every sandbox's processes are counted by themselves."""
        limits = self.limits
        return [
            "/usr/bin/prlimit",
            f"--nproc={limits.processes}",
            f"--as={limits.memory}",
            f"--cpu={limits.cpu}",
            f"--fsize={limits.file}",
            f"--nofile={limits.open_files}",
            "--core=0",
            "--",
        ]

    def _walls(self, files: Sequence[int]) -> list[str]:
        """bubblewrap's command line; `files` are the filter and the files inside, opened."""
        walls = [_bwrap(), "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        walls += ["--new-session", "--die-with-parent", "--seccomp", str(files[0])]
        walls += ["--uid", str(PERSON_ID), "--gid", str(PERSON_ID), "--hostname", HOST]
        walls += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
            if os.path.islink(name):
                walls += ["--symlink", os.readlink(name), name]
            elif os.path.isdir(name):
                walls += ["--ro-bind", name, name]
        for file, name in zip(files[1:], self._files, strict=True):
            walls += ["--perms", "0644", "--file", str(file), name]
        # Debian's vim, awk and others are links to links in there.
        walls += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
        walls += ["--symlink", "/usr/bin/python3", "/opt/bin/python"]
        for scratch in (HOME, WORKSPACE, "/tmp"):
            walls += ["--size", str(self.limits.file), "--tmpfs", scratch]
        for inside, outside in self.reads.items():
            walls += ["--ro-bind-try", outside, inside]
        for inside, outside in self.shares.items():
            walls += ["--bind", outside, inside]
        # The rest of / and /dev would be memory without a limit; the namespaces' settings in /proc/sys would be ours.
        walls += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
        return [*walls, "--chdir", WORKSPACE, "--"]


@cache
def confined(unsafe: bool = False) -> bool:
    """Does bubblewrap work here, for an unprivileged user? Raises SandboxError if it does not, or returns False where
    that is allowed."""
    why = _try()
    if why and not unsafe:
        raise SandboxError(f"no sandbox: {why}; or, for programs that you wrote yourself, --unsafe")
    return not why


def _try() -> str:
    """Why bubblewrap cannot be used, or nothing."""
    if not _bwrap():
        return f"bwrap is not installed: {INSTALL}"
    if platform.machine() not in MACHINES:
        return f"its filter of system calls is written for {', '.join(MACHINES)}, not {platform.machine()}"
    walls = [_bwrap(), "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "--proc", "/proc"]
    tried = subprocess.run([*walls, "true"], capture_output=True, text=True, cwd="/", **_dropped())
    if tried.returncode == 0:
        return ""
    return (
        f"an unprivileged user cannot make namespaces here ({tried.stderr.strip()}); it takes bubblewrap 0.8, the sysctl "
        "user.max_user_namespaces > 0 and, in a container, a seccomp profile that allows them"
    )


def _bwrap() -> str:
    return shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin") or ""


def has(program: str, unsafe: bool = False) -> bool:
    """Whether this program can be started inside; with `unsafe`, and where no sandbox works, outside.

    Outside there is no /opt/bin/python; inside, a link out of /usr leads nowhere.
    """
    outside = unsafe and not confined(unsafe=True)
    path = shutil.which("/usr/bin/python3" if program == "python" and not outside else program, path=PATH)
    return path is not None and (outside or os.path.realpath(path).startswith(VISIBLE))


def _environment(variables: Mapping[str, str]) -> list[str]:
    """A command that runs the command behind it with these variables and no others."""
    return ["/usr/bin/env", "--ignore-environment", *(f"{name}={value}" for name, value in variables.items())]


def _dropped() -> dict[str, Any]:
    """Popen's options that give up root; nothing for an ordinary user."""
    return {"user": UID, "group": UID, "extra_groups": []} if os.getuid() == 0 else {}


@cache
def _life(process: int) -> int:
    """A pipe's reading end, at whose other end nobody writes, and which ends with this process."""
    read, write = os.pipe()
    del write  # Open as long as the process, and closed for what it starts.
    return read


def _file(content: bytes) -> int:
    """A descriptor that reads the content, from memory."""
    file = os.memfd_create("sandbox")
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file


@cache
def _filter() -> bytes:
    """A classic BPF program for seccomp: system calls of another machine or of MACHINES' list fail with EPERM."""
    audit, refused = MACHINES[platform.machine()]
    load, equal, least, give = 0x20, 0x15, 0x35, 0x06
    count = len(refused)
    lines = [(load, 0, 0, 4), (equal, 0, count + 3, audit), (load, 0, 0, 0)]
    # From this number on x86_64 has a second table of calls.
    lines += [(least, count + 1, 0, 0x40000000)]
    lines += [(equal, count - i, 0, number) for i, number in enumerate(refused)]
    lines += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050001)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
