"""Escapes, tried by real programs. Each works outside, where that can be shown without harm, and fails inside."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from neural_computer.recording import sandbox as boxes
from neural_computer.recording.sandbox import Limits, Sandbox, SandboxError
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession
from tests import needs

ROOT = os.getuid() == 0
sandboxed = needs.sandboxed("python")
as_root = pytest.mark.skipif(not ROOT, reason="shown to work outside only by root")

NOTHING = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


def python(source: str) -> list[str]:
    return ["/usr/bin/python3", "-c", source]


def inside(argv: list[str], limits: Limits | None = None, environment: dict | None = None) -> str:
    """What the program printed in the sandbox."""
    with tempfile.TemporaryDirectory() as home:
        child = Sandbox(limits or Limits()).start(argv, environment or {}, home, **NOTHING)
        return child.communicate(timeout=60)[0] or ""


def outside(argv: list[str], root: bool = False) -> str:
    """What it printed beside the sandbox, as an unprivileged user or, if allowed, as root."""
    who = {} if root else boxes._unprivileged()
    return subprocess.run(argv, timeout=60, cwd="/", **NOTHING, **who).stdout


@pytest.fixture
def open_folder():
    """A folder of the machine that everybody may read and write."""
    folder = Path(tempfile.mkdtemp(prefix="open-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


# Network


def accepted(server: socket.socket) -> list[bytes]:
    """Messages that arrive at a socket, in a list that grows."""
    heard: list[bytes] = []

    def take():
        while True:
            try:
                if server.type == socket.SOCK_DGRAM:
                    heard.append(server.recv(100))
                else:
                    heard.append(server.accept()[0].recv(100))
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    return heard


@sandboxed
@pytest.mark.parametrize("kind", ["tcp", "udp", "unix", "abstract"])
def test_no_socket_of_outside_is_reached(kind, open_folder):
    family = socket.AF_INET if kind in ("tcp", "udp") else socket.AF_UNIX
    address = {"tcp": ("127.0.0.1", 0), "udp": ("127.0.0.1", 0), "unix": f"{open_folder}/s", "abstract": "\0nc-escape"}[
        kind
    ]
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as server:
        server.bind(address)
        if kind == "unix":
            os.chmod(address, 0o777)
        if kind != "udp":
            server.listen()
        heard = accepted(server)
        source = (
            f"import socket\ns = socket.socket({int(family)}, {int(server.type)})\n"
            f"s.connect({server.getsockname() if family == socket.AF_INET else address!r}); s.send(b'hello')"
        )
        outside(python(source))
        until(lambda: heard)
        assert heard == [b"hello"]
        inside(python(source))
        time.sleep(0.2)
        assert heard == [b"hello"]
        server.shutdown(socket.SHUT_RDWR) if kind != "udp" else outside(python(source))


def until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@sandboxed
def test_the_only_interface_is_a_loopback_of_its_own():
    assert inside(python("import socket; print([name for _, name in socket.if_nameindex()])")) == "['lo']\n"


# Files


@sandboxed
def test_what_everybody_may_read_and_write_outside_is_not_there(open_folder):
    secret = open_folder / "secret"
    secret.write_text("ESCAPED")
    secret.chmod(0o644)
    read, write = ["/usr/bin/cat", str(secret)], ["/usr/bin/touch", str(open_folder / "written")]
    assert outside(read) == "ESCAPED" and outside(write) == "" and (open_folder / "written").exists()
    (open_folder / "written").unlink()
    assert "No such file" in inside(read) and "No such file" in inside(write)
    assert not (open_folder / "written").exists()


@sandboxed
def test_the_callers_home_and_the_machines_secrets_are_not_there():
    places = [str(Path.home()), "/root", "/etc/shadow", "/var", "/run", "/sys", "/boot", "/srv", "/mnt"]
    assert Path.home().is_dir() and Path("/etc/shadow").exists()
    shown = inside(python(f"import os\nfor p in {places}: print(p, os.path.lexists(p))"))
    assert shown.splitlines() == [f"{place} False" for place in places]


@sandboxed
def test_writing_succeeds_in_three_scratch_folders_only():
    source = """
import os
places = []
for top, folders, _ in os.walk("/"):
    folders[:] = [f for f in folders if top != "/" or f not in ("proc", "usr")]
    places += [os.path.join(top, f) for f in folders]
for place in sorted(places + ["/", "/usr", "/usr/bin", "/usr/local/bin", "/proc", "/proc/self"]):
    try:
        open(place + "/written", "w").close()
        print(place)
    except OSError:
        pass
"""
    assert inside(python(source)).split() == [boxes.HOME, "/tmp", boxes.WORKSPACE]
    assert not any(Path(place, "written").exists() for place in ("/", "/usr", "/usr/bin", "/usr/local/bin", "/tmp"))


@sandboxed
def test_every_sandbox_has_scratch_folders_of_its_own():
    write = ["/bin/sh", "-c", "ls -A ~ /tmp /workspace; for d in ~ /tmp /workspace; do echo x >$d/x; done"]
    assert inside(write) == inside(write) and "x\n" not in inside(write)


@sandboxed
@as_root
def test_the_kernels_settings_are_not_written():
    setting = Path("/proc/sys/vm/swappiness")
    source = f"p = {str(setting)!r}; value = open(p).read(); open(p, 'w').write(value); print('ESCAPED')"
    assert outside(python(source), root=True) == "ESCAPED\n"
    assert "ESCAPED" not in inside(python(source))
    everywhere = """
import os
for top, _, files in os.walk("/proc/sys"):
    for name in files:
        try:
            os.close(os.open(os.path.join(top, name), os.O_WRONLY))
            print(os.path.join(top, name))
        except OSError:
            pass
"""
    assert inside(python(everywhere)) == ""


@sandboxed
@as_root
def test_nothing_is_mounted_or_remounted():
    remount = ["/usr/bin/mount", "-o", "remount,rw,bind", "/usr"]
    walls = [boxes._bwrap(), "--ro-bind", "/", "/", "--ro-bind", "/usr", "/usr", "--dev", "/dev", "--proc", "/proc"]
    assert outside([*walls, *remount], root=True) == ""  # what a sandbox started by root would allow
    assert "must be superuser" in inside(remount)
    assert "must be superuser" in inside(["/usr/bin/mount", "-t", "tmpfs", "none", "/tmp"])
    source = "import ctypes; print(ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None))"
    assert inside(python(source)) == "-1\n"


@sandboxed
@as_root
def test_no_device_is_made(open_folder):
    assert outside(["/usr/bin/mknod", str(open_folder / "disk"), "b", "8", "0"], root=True) == ""
    assert "not permitted" in inside(["/usr/bin/mknod", "disk", "b", "8", "0"])
    nodes = (
        "import os, stat; print(sorted(n for n in os.listdir('/dev') if stat.S_ISBLK(os.stat('/dev/' + n).st_mode)))"
    )
    assert inside(python(nodes.replace("os.stat(", "os.lstat("))) == "[]\n"


@sandboxed
def test_a_full_scratch_folder_is_full():
    source = """
import os
def fill(place):
    total = 0
    for number in range(1000):
        try:
            with open(f"{place}/{number}", "wb") as file:
                while True:
                    total += file.write(bytes(1 << 20))
        except OSError as error:
            if error.errno == 28: return total
print(sum(fill(place) for place in (os.path.expanduser("~"), "/workspace", "/tmp")) >> 20)
"""
    limits = Limits()
    assert int(inside(python("import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)" + source), limits)) <= 48


# Processes and privileges


@pytest.fixture
def neighbour():
    """A process outside that belongs to whom the sandbox's programs belong to."""
    child = subprocess.Popen(["/usr/bin/sleep", "60"], cwd="/", **boxes._unprivileged())
    yield child
    child.kill()
    child.wait()


@sandboxed
def test_no_process_of_outside_is_seen_killed_or_traced(neighbour):
    kill = python(f"import os; os.kill({neighbour.pid}, 0); print('ESCAPED')")
    trace = python(f"import ctypes; print(ctypes.CDLL(None).ptrace(16, {neighbour.pid}, 0, 0))")
    assert outside(kill) == "ESCAPED\n"
    assert "ProcessLookupError" in inside(kill) and inside(trace) == "-1\n"
    assert inside(python("import os; print(max(int(p) for p in os.listdir('/proc') if p.isdigit()) < 10)")) == "True\n"
    assert neighbour.poll() is None


@sandboxed
def test_there_are_no_privileges_and_no_way_to_get_them():
    status = inside(["/usr/bin/cat", "/proc/self/status"])
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {lines[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert lines["NoNewPrivs"] == "1" and lines["Seccomp"] == "2" and lines["Uid"].split() == ["1976"] * 4
    # A shell through su would need the privilege that its file has outside.
    assert os.stat("/usr/bin/su").st_mode & 0o4000
    assert "PermissionError" in inside(python("import os; os.setuid(0)")) or "OSError" in inside(
        python("import os; os.setuid(0)")
    )
    effective = "import os, subprocess; p = subprocess.Popen(['/usr/bin/su'], stdin=subprocess.PIPE)\n"
    effective += "print([l for l in open(f'/proc/{p.pid}/status') if l.startswith('Uid')])"
    assert "1976\\t1976\\t1976" in inside(python(effective))
    if ROOT:
        child = Sandbox().start(["/usr/bin/sleep", "1"], {}, "/nowhere", **NOTHING)
        owners = [
            line.split()[1:] for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if "Uid:" in line
        ]
        child.wait()
        assert owners == [[str(boxes.UID)] * 4]


@sandboxed
def test_no_namespace_is_made_inside():
    unshare = ["/usr/bin/unshare", "--user", "--map-root-user", "echo", "ESCAPED"]
    assert outside(unshare) == "ESCAPED\n"
    assert "ESCAPED" not in inside(unshare)
    assert "ESCAPED" not in inside(["/usr/bin/unshare", "--mount", "echo", "ESCAPED"])


@sandboxed
def test_a_fork_bomb_stops_at_the_limit():
    source = """
import os, time
children = 0
try:
    while children < 200:
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
        children += 1
except OSError as error:
    print(error.errno)
print(children)
"""
    assert outside(python(source)).split() == ["200"]
    errno, children = map(int, inside(python(source)).split())
    assert errno == 11 and children < Limits().processes
    # Sandboxes of one user do not take processes from one another.
    begin = time.monotonic()
    bomb, alone = ["/bin/bash", "-c", ":(){ :|:& };:; sleep 3"], NOTHING | {"start_new_session": True}
    bombs = [Sandbox().start(bomb, {}, "/nowhere", **alone) for _ in range(2)]
    time.sleep(0.5)
    assert inside(["/bin/echo", "fine"]) == "fine\n" and time.monotonic() - begin < 10
    for bomb in bombs:
        os.killpg(bomb.pid, signal.SIGKILL)
        bomb.wait()


@sandboxed
def test_a_memory_bomb_stops_at_the_limit():
    source = "blocks = []\nwhile len(blocks) < 400: blocks.append(bytearray(1 << 20))\nprint('ESCAPED')"
    assert outside(python(source)) == "ESCAPED\n"
    assert "MemoryError" in inside(python(source))


BEYOND = {
    "memfd_create": "import os; os.memfd_create('x'); print('ESCAPED')",
    "shmget": "import ctypes; print('ESCAPED' if ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0 else 'no')",
    "msgget": "import ctypes; print('ESCAPED' if ctypes.CDLL(None).msgget(0, 0o1600) >= 0 else 'no')",
}


@sandboxed
@pytest.mark.parametrize("call", BEYOND)
def test_there_is_no_memory_beyond_the_address_space(call):
    assert outside(python(BEYOND[call])) == "ESCAPED\n"
    assert "ESCAPED" not in inside(python(BEYOND[call]))


@sandboxed
def test_a_loop_ends_when_its_processor_time_is_spent():
    begin = time.monotonic()
    inside(python("while True: pass"), Limits(cpu=1))
    assert time.monotonic() - begin < 20


@sandboxed
def test_what_runs_on_in_the_background_ends_with_the_session():
    mark = "31415926"
    daemon = f"(setsid nohup sleep {mark} >/dev/null 2>&1 &) ; sleep .2; pgrep -c sleep\n"
    with TerminalSession(["/bin/sh"], 4, 40, sandbox=Sandbox(), silence=0.5) as session:
        session.settle()
        session.press(daemon)
        list(session.follow(1, to_the_end=True))
        assert running(mark)
    until(lambda: not running(mark))
    assert not running(mark)


def running(mark: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"sleep\0{mark}" in path.read_text():
                return True
        except OSError:
            continue
    return False


# What comes in with the start


@sandboxed
def test_the_callers_terminal_is_not_typed_to():
    """TIOCSTI puts a character into a terminal's input, as if it were typed: into the caller's shell, once it is back."""
    push = python(
        "import fcntl, sys, termios\nfor c in b'E': fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))\nprint('PUSHED')"
    )
    if "PUSHED" not in on_a_terminal(lambda: subprocess.run(push, **boxes._unprivileged())):
        pytest.skip("this kernel allows nobody to push characters (dev.tty.legacy_tiocsti = 0)")

    def start():
        Sandbox().start(push, {}, "/nowhere").wait()

    assert "PUSHED" not in on_a_terminal(start)


def on_a_terminal(program) -> str:
    """What is written to a terminal on which the program is run."""
    child, master = pty.fork()
    if child == 0:
        try:
            program()
        finally:
            os._exit(0)
    shown = b""
    try:
        while data := os.read(master, 1000):
            shown += data
    except OSError:
        pass
    os.close(master)
    os.waitpid(child, 0)
    return shown.decode()


@sandboxed
def test_open_files_of_the_caller_are_not_inherited(open_folder):
    secret = open_folder / "secret"
    secret.write_text("ESCAPED")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        shown = inside(["/bin/sh", "-c", "cat /proc/self/fd/*; ls /proc/self/fd"])
    assert "ESCAPED" not in shown and shown.split()[-4:] == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


@sandboxed
def test_what_a_tape_sets_does_not_reach_the_sandbox_itself(open_folder):
    for name in ("bwrap", "prlimit", "env", "setsid"):
        (open_folder / name).write_text(f"#!/bin/sh\ntouch {open_folder}/ESCAPED\n")
        (open_folder / name).chmod(0o755)
    shown = inside(["/bin/sh", "-c", "echo $PATH"], environment={"PATH": str(open_folder), "LD_PRELOAD": "/nowhere.so"})
    assert shown.splitlines()[-1] == str(open_folder) and not (open_folder / "ESCAPED").exists()


@sandboxed
def test_nothing_of_the_callers_environment_comes_in(monkeypatch):
    monkeypatch.setenv("TOKEN", "ESCAPED")
    assert "ESCAPED" not in inside(["/usr/bin/env"])


@sandboxed
def test_who_one_is_inside():
    assert inside(["/bin/sh", "-c", "whoami; id -u; hostname; pwd; echo $HOME; python --version"]).split("\n")[:5] == [
        "NeuralComputer",
        "1976",
        "NeuralComputer",
        "/workspace",
        "/home/NeuralComputer",
    ]


# Where there is no sandbox


@pytest.fixture
def fresh():
    boxes.confined.cache_clear()
    yield
    boxes.confined.cache_clear()


def test_without_bubblewrap_it_refuses_in_one_line_that_says_what_to_install(fresh, monkeypatch):
    monkeypatch.setattr(boxes, "_bwrap", lambda: "")
    with pytest.raises(SandboxError, match=rf"^no sandbox: bwrap .*{boxes.INSTALL}.*--unsafe$"):
        inside(["/bin/true"])


def test_without_user_namespaces_it_refuses_unless_unsafe_is_allowed(fresh, monkeypatch, open_folder):
    fake = open_folder / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(boxes, "_bwrap", lambda: str(fake))
    with pytest.raises(SandboxError, match="cannot make namespaces here .bwrap: No permissions.*--unsafe"):
        inside(["/bin/true"])
    # Without bubblewrap the limit counts all processes of this user, those of other tests' sandboxes too.
    outside = Sandbox(Limits(processes=4321), unsafe=True)
    with TerminalSession(["/bin/bash", "--norc", "--noprofile"], 4, 80, sandbox=outside, silence=0.3) as session:
        session.settle()
        session.press("id -u; ulimit -u; cd ~ && touch x && echo $HOME\r")
        shown = session.settle()
    uid = boxes.UID if ROOT else os.getuid()
    assert re.search(rf"{uid}\r\n4321\r\n.*session-", shown)


@sandboxed
def test_a_program_that_does_not_exist_is_an_error():
    with (
        pytest.raises(RecordingError, match="ended with code 127.*nowhere"),
        TerminalSession(["/nowhere"], 4, 80, sandbox=Sandbox()) as session,
    ):
        session.settle()


RECORDER = """
import sys, time
from neural_computer.recording.terminal.recorder import TerminalSession
from neural_computer.recording.sandbox import Sandbox
print("on", flush=True)
with TerminalSession(["/usr/bin/sleep", sys.argv[1]], 4, 40, sandbox=Sandbox()):
    time.sleep(60)
"""


@sandboxed
@pytest.mark.parametrize("delay", [0.005, 0.01, 0.02, 0.04, 0.5])
def test_a_killed_recorder_takes_its_sandbox_along(delay):
    mark = str(27182818 + int(delay * 1000))
    recorder = subprocess.Popen([sys.executable, "-c", RECORDER, mark], stdout=subprocess.PIPE)
    recorder.stdout.readline()
    time.sleep(delay)
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    until(lambda: not running(mark), 60)  # a busy machine takes its time
    assert not running(mark)
