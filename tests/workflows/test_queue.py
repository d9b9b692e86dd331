"""The queue: so many at a time, in order of need, gone on from after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neural_computer.workflows import queue
from neural_computer.workflows.queue import Job


def writes(path: Path, seconds: float = 0.0, *, body: str = "") -> list[str]:
    """A command that takes its time, then writes when it began and ended."""
    program = f"import os, time; a = time.time(); {body or 'pass'}; time.sleep({seconds})"
    return [sys.executable, "-c", f"{program}; open({str(path)!r}, 'w').write(f'{{a}} {{time.time()}}')"]


def job(folder: Path, name: str, seconds: float = 0.0, needs: tuple[str, ...] = (), body: str = "") -> Job:
    path = folder / name
    return Job(name, writes(path, seconds, body=body), path.exists, needs)


def times(folder: Path, name: str) -> tuple[float, float]:
    begin, end = map(float, (folder / name).read_text().split())
    return begin, end


def test_so_many_at_a_time_and_never_before_what_is_needed(tmp_path):
    jobs = [job(tmp_path, "c", 0.4, ("a",)), job(tmp_path, "a", 0.6), job(tmp_path, "b", 0.6), job(tmp_path, "d", 0.1)]
    assert queue.run(jobs, 2, tmp_path / "logs") == []
    spans = {name: times(tmp_path, name) for name in "abcd"}
    assert spans["c"][0] >= spans["a"][1]
    for begin, _ in spans.values():
        assert sum(a <= begin < b for a, b in spans.values()) <= 2


def test_what_is_done_is_not_done_again(tmp_path):
    jobs = [job(tmp_path, "a"), job(tmp_path, "b")]
    assert queue.run(jobs[:1], 1, tmp_path / "logs") == []
    before = (tmp_path / "a").read_text()
    assert queue.run(jobs, 1, tmp_path / "logs") == []
    assert (tmp_path / "a").read_text() == before and (tmp_path / "b").exists()


def test_a_failure_stops_what_needs_it_and_nothing_else(tmp_path, caplog):
    bad = Job("bad", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], lambda: False)
    idle = Job("idle", [sys.executable, "-c", ""], lambda: False)
    jobs = [bad, idle, job(tmp_path, "after", needs=("bad",)), job(tmp_path, "other")]
    assert sorted(queue.run(jobs, 2, tmp_path / "logs")) == ["after", "bad", "idle"]
    assert (tmp_path / "other").exists() and not (tmp_path / "after").exists()
    said = caplog.text
    assert "bad: ended with code 3" in said and "why" in said and "has not done what it should" in said
    assert "after: not run, since bad failed" in said


def test_every_job_has_one_thread(tmp_path):
    body = "assert 'intra_op_parallelism_threads=1' in os.environ['XLA_FLAGS'] and os.environ['OWN'] == '1'"
    assert queue.run([job(tmp_path, "a", body=body)], 1, tmp_path / "logs", {"OWN": "1"}) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_queue_takes_its_jobs_with_it_and_is_gone_on_from(tmp_path, how):
    """kill -9 too: the kernel tells the jobs."""
    script = tmp_path / "queue.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
        "from neural_computer.launch import errors\n"
        "from tests.workflows.test_queue import job, queue\nerrors.interrupt_on_sigterm()\n"
        "folder = Path(sys.argv[1])\nbody = \"open('{}', 'a').write(str(os.getpid()) + ' ')\".format(folder / 'pids')\n"
        "queue.run([job(folder, name, 3.0, body=body) for name in 'ab'], 2, folder / 'logs')\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path), root], stderr=subprocess.DEVNULL)
    pids = tmp_path / "pids"
    wait(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    process.send_signal(how)
    process.wait(30)
    wait(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    assert not (tmp_path / "a").exists()
    assert queue.run([job(tmp_path, "a"), job(tmp_path, "b")], 2, tmp_path / "logs") == []
    assert (tmp_path / "a").exists() and (tmp_path / "b").exists()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
