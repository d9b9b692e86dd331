"""A server that is killed goes on where it was; the page in a real browser does not even lose its session."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from tests import needs
from tests.conftest import ROOT
from tests.machine import machines

needs.package("starlette", "live")
needs.package("websockets", "live")

from neural_computer.machine.client import Connection  # noqa: E402

pytestmark = pytest.mark.slow


@contextmanager
def serving(*arguments):
    """(the program, its link) once it is ready. It is killed if the test does not end it."""
    command = [sys.executable, "-m", "launch.live", *map(str, arguments)]
    one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | one, stdout=subprocess.PIPE, text=True) as server:
        try:
            link = re.search(r"http://\S+", server.stdout.readline())[0]
            assert any(line.startswith("ready") for line in server.stdout), "it ended before it was ready"
            yield server, link
        finally:
            server.kill()


def test_a_killed_server_goes_on_bit_for_bit(tmp_path):
    folder = machines.trained().save(tmp_path / "tiny")
    ask = [f"--machine={folder}", f"--out={tmp_path}/out", "--sessions=2", "--seed=3", "--snapshot=60"]
    with serving(*ask) as (server, link), Connection(link, keep=True) as machine:
        machine.type("1+2<Return>")
        screen, frame, id = machine.type("ab"), machine.frame, machine.session
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    with serving(*ask) as (server, link):
        with Connection(link, session=id, keep=True) as machine:
            assert machine.welcome["resumed"] and machine.welcome["frame"] == frame
            while machine.screen is None:
                machine._take()
            np.testing.assert_array_equal(machine.screen, screen)
            after = machine.type("c<Return>")
        with Connection(link) as never_killed:
            np.testing.assert_array_equal(never_killed.type("1+2<Return>abc<Return>"), after)
        second = subprocess.run(
            [sys.executable, "-m", "launch.live", *ask], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        assert second.returncode == 1 and "is writing there" in second.stderr
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 130
