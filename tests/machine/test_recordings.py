"""Recorded sessions are data: the true machine's screens and the neural one's, with their keys; training learns from them."""

import json
from itertools import islice

import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.machine import recordings
from neural_computer.machine.recordings import GENERATED, TRUE, Recording
from neural_computer.simulators.tty.sessions import play
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.simulators.tty.typists import keys as typed
from neural_computer.train.metrics_log import read_metrics
from neural_computer.types import Event
from tests.conftest import program
from tests.machine import machines


def recorded(name="terminal", events=(), frames=30, back=0) -> tuple[Recording, list]:
    """(a recording of a session, all its pictures), `back` frames of which were gone back and done again."""
    some, shown = machines.host(name), []
    kinds = machines.WORLDS[name].kinds
    recording = Recording("a machine", 15.0, kinds, {"source": "live session", "version": "f" * 64})

    def publish(picture):
        shown.append(picture)
        recording.add(picture)

    one = some.join("a", seed=2, publish=publish)
    one.offer(list(events))
    while one.moment.frame < frames:
        for picture in some.tick()["a"]:
            publish(picture)
        if back and one.moment.frame == frames - 2:
            some.go_back(one, back)
            back = 0
    return recording, shown


def test_an_episode_has_both_screens_the_keys_and_where_it_is_from(tmp_path):
    keys = ["1", "+", "2", "Return", "a", "Up", *islice(typed(TYPISTS["mash"], 0, 2, 10), 20)]
    events = [(n, Event(0, "press", key)) for n, key in enumerate(keys) if key]
    recording, shown = recorded(events=events)
    out = recording.write(tmp_path, "one")
    true, generated = (recordings.read(out, split) for split in (TRUE, GENERATED))
    session = play([event.key for _, event in events] + [""] * (30 - len(events)), 2, 10)
    np.testing.assert_array_equal(true.frames, np.stack([picture.truth for picture in shown]))
    np.testing.assert_array_equal(generated.frames, np.stack([picture.screen for picture in shown]))
    assert [event.key for event in true.events] == [event.key for _, event in events]
    assert true.meta["kinds"] == "".join(f"{kind:x}" for kind in session.kinds)
    assert true.meta["version"] == "f" * 64 and true.meta["wrong_screens"] > 0 and true.cells[4].startswith("3")
    again = play([""] * 30, 2, 10)
    assert len(again.keys) == len(true.frames)


def test_what_was_gone_back_over_is_not_in_it(tmp_path):
    recording, shown = recorded(events=machines.keys("abcdef"), back=26)
    assert [picture.frame for picture in recording.pictures] == list(range(31)) and len(shown) > 31
    straight, _ = recorded(events=machines.keys("abcdef"))
    gone = recording.episode("a"), straight.episode("a")
    assert len(gone[0].events) < len(gone[1].events), "keys that were taken back are not pressed again"
    assert Recording("", 15.0, (), {}).write(tmp_path, "x") is None


def test_a_desktop_has_its_mouse(tmp_path):
    recording, _ = recorded("desktop", machines.clicks(), 20)
    episode = recordings.read(recording.write(tmp_path, "desk"))
    assert episode.cursor.shape == (21, 2) and episode.cursor[-1].tolist() == [30, 40]
    assert [event.kind for event in episode.events].count("press") == 4 and "kinds" not in episode.meta


@pytest.mark.slow
def test_recorded_sessions_train(tmp_path):
    """50 updates on what was typed: the loss falls."""
    for number in range(3):
        keys = islice(typed(TYPISTS["brisk"], number, 2, 10), 200)
        events = [(n, Event(0, "press", key)) for n, key in enumerate(keys) if key]
        recording, _ = recorded(events=events, frames=len(events) + 5)
        recording.write(tmp_path / "recordings", f"session-{number}")
    data = tmp_path / "data"
    ask = ["--recipe=sessions", f"--input={tmp_path}/recordings", f"--out={data}", "--frames=2", "--test_share=0"]
    program("launch.prepare_data", *ask)
    assert json.loads((data / "summary.json").read_text())["kept"] == 3
    assert ClipSource(data, "train", 2)[0].frames.shape == (2, 32, 80, 3)
    small = [
        "network.layers=1",
        "network.width=32",
        "network.ffn=64",
        "network.heads=1",
        "data.batch_size=16",
        "data.height=32",
    ]
    small += [
        "data.width=80",
        "network.positions=(0,2,10)",
        "schedule.steps=50",
        "schedule.log_every=1",
        "text.width=16",
    ]
    small += [
        f"data.directory={data}",
        "optimizer.warmup_steps=5",
        "codec.channels=16",
        "codec.fit_videos=64",
        "actions.width=32",
    ]
    shares = ["idle", "character", "backspace", "echo", "empty", "clear", "date", "cleared", "sum", "difference", "up"]
    small += [f"data.shares.{name}={int(name in ('idle', 'character', 'backspace', 'echo'))}.0" for name in shares]
    program("launch.train", "--config=tty:small", f"--workdir={tmp_path}/run", *[f"--config.{each}" for each in small])
    losses = [line["loss"] for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert len(losses) == 50 and np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
