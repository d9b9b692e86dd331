"""Sandboxes for untrusted programs: bubblewrap, without privileges, with resource limits.

Inside, /usr can be read and three small scratch folders (home, /workspace, /tmp) can be written. There is no network, no
process, user, host name or System V object of the machine, no capability and no way to make a user namespace.
The uid is dropped first: bubblewrap started by root could remount / writable and write /proc/sys.

Memory is bounded by processes x address space, plus the scratch folders. A seccomp filter rejects the system calls by
which the kernel would keep memory beyond the address space (memfd, System V segments, io_uring).

Why not Docker: whoever may write to its daemon's socket is root; a container starts in a second, bubblewrap in
milliseconds; a container's default is a root user with capabilities, a network and no limits.
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

from neural_computer.errors import Error

UID = 64976
"""User id that root changes to before a sandbox starts; no account has it. An ordinary user keeps their own."""

PERSON, PERSON_ID, HOST = "NeuralComputer", 1976, "NeuralComputer"
HOME, WORKSPACE = f"/home/{PERSON}", "/workspace"
"""User, host and folders inside, as on the recordings that the paper's data engine ships"""

INSTALL = "neural-computer install_sandbox"
"""The command that installs bubblewrap, Python and the programs of generated tapes"""

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games:/opt/bin"
ENVIRONMENT = {"USER": PERSON, "LOGNAME": PERSON, "PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
ENVIRONMENT |= {"TERM": "xterm-256color", "TZ": "UTC", "INPUTRC": "/dev/null"}

VISIBLE = ("/usr/", "/bin/", "/sbin/")
"""Folders of the machine whose programs can be started inside"""

FILES = {
    "/etc/passwd": f"{PERSON}:x:{PERSON_ID}:{PERSON_ID}::{HOME}:/bin/bash\n",
    "/etc/group": f"{PERSON}:x:{PERSON_ID}:\n",
    "/etc/hosts": f"127.0.0.1 localhost {HOST}\n",
}

BLOCKED_CALLS = {
    # audit architecture; memfd_create memfd_secret shmget msgget io_uring_setup userfaultfd ptrace bpf perf_event_open
    # add_key request_key keyctl
    "x86_64": (0xC000003E, (319, 447, 29, 68, 425, 323, 101, 321, 298, 248, 249, 250)),
    "aarch64": (0xC00000B7, (279, 447, 194, 186, 425, 282, 117, 280, 241, 217, 218, 219)),
}
"""Numbers of the system calls that the seccomp filter rejects, by machine: those that hold memory beyond the address
space, and kernel interfaces that a shell session does not need"""

GUARD = ("/bin/bash", "-c", 'read -t 0 -u "$0" && exit 1; pipe=$0; exec {pipe}<&- "$@"')
"""bubblewrap's --die-with-parent only works once bubblewrap runs: if the parent was killed earlier, the child would be
orphaned. So the first program inside checks that the parent still holds the other end of a pipe."""


class SandboxError(Error, RuntimeError):
    """No sandbox can be started on this machine; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """Resource limits of a sandboxed program. Sizes in bytes."""

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
    """Starts programs that can reach nothing of the machine.

    With `unsafe`, and where bubblewrap does not work, programs start without it: under the limits and the dropped uid, but
    with the machine's files and network in reach. That is only for programs that you wrote.
    """

    limits: Limits = field(default_factory=Limits)
    unsafe: bool = False
    reads: Mapping[str, str] = field(default_factory=dict)
    """{path inside: the machine's path that is mounted there, read-only; a path that does not exist is left out}"""
    shares: Mapping[str, str] = field(default_factory=dict)
    """{path inside: the machine's folder that is mounted there, writable}"""
    files: Mapping[str, str] = field(default_factory=dict)
    """{path inside: content of a file there}, beside FILES"""

    def start(self, argv: Sequence[str], environment: Mapping[str, str], home: str, **options: Any) -> subprocess.Popen:
        """Starts a program with the variables of ENVIRONMENT and `environment`; `options` are Popen's.

        `home` is an empty folder of the machine; a program without a sandbox (`unsafe`) has it as its home. Raises
        SandboxError where no sandbox can be started.
        """
        inner = [*self._limited(), *argv]
        if confined(self.unsafe):
            # A tape's variables (LD_PRELOAD, PATH) must not reach bubblewrap itself.
            pipe = _parent_pipe(os.getpid())
            inner = [*GUARD, str(pipe), *_environment(ENVIRONMENT | dict(environment)), *inner]
            files = [_file(_filter()), *(_file(text.encode()) for text in self._files.values())]
            command = [*self._bubblewrap(files), *inner]
            try:
                return subprocess.Popen(command, env={}, cwd="/", pass_fds=[*files, pipe], **_unprivileged(), **options)
            finally:
                for file in files:
                    os.close(file)
        if os.getuid() == 0:
            os.chown(home, UID, UID)
        inner = [*_environment(ENVIRONMENT | {"HOME": home} | dict(environment)), *inner]
        return subprocess.Popen(inner, env={}, cwd=home, **_unprivileged(), **options)

    @property
    def _files(self) -> Mapping[str, str]:
        return {**FILES, **self.files}

    def _limited(self) -> list[str]:
        """Command that runs the command behind it under the limits.

        It runs inside bubblewrap, so that the kernel counts every sandbox's processes apart.
        """
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

    def _bubblewrap(self, files: Sequence[int]) -> list[str]:
        """bubblewrap's command line; `files` are descriptors of the seccomp filter and of the files inside."""
        command = [_bwrap(), "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        command += ["--new-session", "--die-with-parent", "--seccomp", str(files[0])]
        command += ["--uid", str(PERSON_ID), "--gid", str(PERSON_ID), "--hostname", HOST]
        command += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
            if os.path.islink(name):
                command += ["--symlink", os.readlink(name), name]
            elif os.path.isdir(name):
                command += ["--ro-bind", name, name]
        for file, name in zip(files[1:], self._files, strict=True):
            command += ["--perms", "0644", "--file", str(file), name]
        # On Debian, vim, awk and others are links into this folder.
        command += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
        command += ["--symlink", "/usr/bin/python3", "/opt/bin/python"]
        for scratch in (HOME, WORKSPACE, "/tmp"):
            command += ["--size", str(self.limits.file), "--tmpfs", scratch]
        for inside, outside in self.reads.items():
            command += ["--ro-bind-try", outside, inside]
        for inside, outside in self.shares.items():
            command += ["--bind", outside, inside]
        # Files written elsewhere in / and /dev would take memory without a limit; /proc/sys would be writable.
        command += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
        return [*command, "--chdir", WORKSPACE, "--"]


@cache
def confined(unsafe: bool = False) -> bool:
    """Whether bubblewrap works on this machine for an unprivileged user. Raises SandboxError if not, unless `unsafe`."""
    problem = _problem()
    if problem and not unsafe:
        raise SandboxError(f"no sandbox: {problem}; or, for programs that you wrote yourself, --unsafe")
    return not problem


def _problem() -> str:
    """Why bubblewrap cannot be used; empty if it can."""
    if not _bwrap():
        return f"bwrap is not installed: {INSTALL}"
    if platform.machine() not in BLOCKED_CALLS:
        return f"its filter of system calls is written for {', '.join(BLOCKED_CALLS)}, not {platform.machine()}"
    command = [
        _bwrap(),
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
    ]
    result = subprocess.run([*command, "true"], capture_output=True, text=True, cwd="/", **_unprivileged())
    if result.returncode == 0:
        return ""
    return (
        f"an unprivileged user cannot make namespaces here ({result.stderr.strip()}); it takes bubblewrap 0.8, the sysctl "
        "user.max_user_namespaces > 0 and, in a container, a seccomp profile that allows them"
    )


def _bwrap() -> str:
    return shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin") or ""


def has(program: str, unsafe: bool = False) -> bool:
    """Whether this program can be started inside; with `unsafe`, and where no sandbox works, on the machine itself.

    Inside, python is the machine's /usr/bin/python3, and a link that leaves /usr is broken.
    """
    outside = unsafe and not confined(unsafe=True)
    path = shutil.which("/usr/bin/python3" if program == "python" and not outside else program, path=PATH)
    return path is not None and (outside or os.path.realpath(path).startswith(VISIBLE))


def _environment(variables: Mapping[str, str]) -> list[str]:
    """Command that runs the command behind it with these environment variables and no others."""
    return ["/usr/bin/env", "--ignore-environment", *(f"{name}={value}" for name, value in variables.items())]


def _unprivileged() -> dict[str, Any]:
    """Popen's options by which root becomes UID; none for an ordinary user."""
    return {"user": UID, "group": UID, "extra_groups": []} if os.getuid() == 0 else {}


@cache
def _parent_pipe(process: int) -> int:
    """Reading end of a pipe whose writing end closes when this process ends; one pipe for each value of `process`."""
    read, write = os.pipe()
    del write  # It stays open as long as this process, and is not inherited.
    return read


def _file(content: bytes) -> int:
    """Descriptor of a file in memory with this content."""
    file = os.memfd_create("sandbox")
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file


@cache
def _filter() -> bytes:
    """Classic BPF program for seccomp: BLOCKED_CALLS, and system calls of another architecture, fail with EPERM."""
    audit, blocked = BLOCKED_CALLS[platform.machine()]
    load, equal, least, give = 0x20, 0x15, 0x35, 0x06
    count = len(blocked)
    lines = [(load, 0, 0, 4), (equal, 0, count + 3, audit), (load, 0, 0, 0)]
    # On x86_64, numbers from here on are a second table of calls (x32).
    lines += [(least, count + 1, 0, 0x40000000)]
    lines += [(equal, count - i, 0, number) for i, number in enumerate(blocked)]
    lines += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050001)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
