import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from neural_computer.recording.terminal import tape
from neural_computer.recording.terminal.tape import Command
from neural_computer.recording.terminal.tape_words import KEYWORDS
from tests.fuzz import fuzz

TAPES = Path(__file__).resolve().parents[4] / "shared" / "data" / "vhs"
shipped = pytest.mark.skipif(not TAPES.is_dir(), reason="no tapes beside the checkout (shared/data/vhs)")


def commands(text: str) -> list[tuple]:
    """The commands without their lines."""
    return [command[:-1] for command in tape.parse(text).commands]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Type "ls -la"', Command("Type", "ls -la", 0.05)),
        ("Type 'say \"hi\"'", Command("Type", 'say "hi"', 0.05)),
        ('Type `it\'s "x"`', Command("Type", 'it\'s "x"', 0.05)),
        ('Type "C:\\"', Command("Type", "C:\\", 0.05)),
        ('Type@70ms "x"', Command("Type", "x", 0.07)),
        ('Type@.5 "x"', Command("Type", "x", 0.5)),
        ("Type echo 'a b' c", Command("Type", "echo a b c", 0.05)),
        ("Sleep 500ms", Command("Sleep", seconds=0.5)),
        ("Sleep 1.5s", Command("Sleep", seconds=1.5)),
        ("Sleep 2m", Command("Sleep", seconds=120)),
        ("Sleep 2", Command("Sleep", seconds=2)),
        ("Enter", Command("Enter", seconds=0.05)),
        ("Down 3", Command("Down", seconds=0.05, times=3)),
        ("Backspace@10ms 12", Command("Backspace", seconds=0.01, times=12)),
        ("PageUp@1s", Command("PageUp", seconds=1)),
        ("Ctrl+C", Command("Chord", "C", modifiers=("Ctrl",))),
        ("Ctrl+Alt+Shift+p", Command("Chord", "p", modifiers=("Ctrl", "Alt", "Shift"))),
        ("Ctrl+]", Command("Chord", "]", modifiers=("Ctrl",))),
        ("Ctrl+Left", Command("Chord", "Left", modifiers=("Ctrl",))),
        ("Alt+.", Command("Chord", ".", modifiers=("Alt",))),
        ("Shift+Tab", Command("Chord", "Tab", modifiers=("Shift",))),
        ("Hide", Command("Hide")),
        ("Show", Command("Show")),
        ('Copy "x y"', Command("Copy", "x y")),
        ("Paste", Command("Paste")),
        ("Wait+Screen@2s /done$/", Command("Wait", "Screen done$", 2)),
        ("Screenshot x.png", Command("Screenshot", "x.png")),
    ],
)
def test_a_command_is_what_vhs_takes_it_for(text, expected):
    assert commands(text) == [expected[:-1]]


def test_a_tape_is_its_settings_its_header_and_its_commands():
    text = """# ID: demo_7
# INSTRUCTION: Lists files: two of them.
# CLASS: {"Files": true}
# LEVEL: 2
# a remark
Output demo.mp4
Require python
Set Shell "bash"
Set Theme {
  "name": "x",
  "background": "#1e1e2e"
}
Set FontSize 40
Set LineHeight 1.2
Set TypingSpeed 70ms
Set MarginFill "#0091FF"
Set CursorBlink false
Env LEVEL "3"
Type "ab"   # typed
Set TypingSpeed 10ms
Enter
Set Width 5
Require jq
"""
    result = tape.parse(text, "x.tape")
    assert result.meta == {
        "ID": "demo_7",
        "INSTRUCTION": "Lists files: two of them.",
        "CLASS": {"Files": True},
        "LEVEL": 2,
    }
    assert result.outputs == ("demo.mp4",) and result.requires == ("python",) and result.environment == {"LEVEL": "3"}
    assert result.settings == {
        "Shell": "bash",
        "Theme": {"name": "x", "background": "#1e1e2e"},
        "FontSize": 40,
        "LineHeight": 1.2,
        "TypingSpeed": 0.07,
        "MarginFill": "#0091FF",
        "CursorBlink": False,
    }
    assert result.commands == (Command("Type", "ab", 0.07, line=19), Command("Enter", seconds=0.01, line=21))
    assert result.ignored == (
        "x.tape:22: Set Width after the first command",
        "x.tape:23: Require jq after the first command",
    )


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ('Type "cd \\"$stage\\""', "1:12", "'\\$' is no command of vhs; a string ends at its quote"),
        ('Enter\n  Type "{\\"name\\": 1}"', "2:16", "a string ends at its quote"),
        ('Type "open', "1:6", "the string has no end"),
        ('Type "over\ntwo lines"', "1:6", "the string has no end"),
        ("Type", "1:5", "Type takes a string, not the end of the tape"),
        ("Type Enter", "1:6", "Type takes a string"),
        ('Type "a"\nHome', "2:1", "'Home' is no command"),
        ("End", "1:1", "'End' is no command"),
        ("enter", "1:1", "'enter' is no command"),
        ("Enter x", "1:7", "'x' is no command"),
        ("Enter 1.5", "1:7", "the count is a whole number"),
        ("Enter 10000000", "1:7", "below a million"),
        ("Enter @", "1:8", "@ takes a time"),
        ("Sleep", "1:6", "Sleep takes a time"),
        ("Sleep fast", "1:7", "Sleep takes a time"),
        ("Sleep 1.2.3", "1:7", "Sleep takes a time"),
        ("Sleep " + "9" * 400, "1:7", "Sleep takes a time"),
        ("Sleep -1s", "1:7", "Sleep takes a time"),
        ("Ctrl", "1:1", "Ctrl\\+ needs a key"),
        ("Ctrl+", "1:6", "Ctrl\\+ takes a character"),
        ("Ctrl+Delete", "1:6", "Ctrl\\+ takes a character"),
        ("Ctrl+s", "1:6", "Ctrl\\+ takes a character"),
        ("Alt+Up", "1:5", "Alt\\+ takes a character"),
        ("Set Colour 3", "1:5", "'Colour' is no setting"),
        ("Set FontSize big", "1:14", "FontSize takes a number"),
        ("Set FontSize 1.5", "1:14", "FontSize takes a whole number"),
        ("Set Theme {", "1:11", "the theme is no JSON"),
        ('Set Theme {"a" 1}', "1:11", "the theme is no JSON"),
        ("Set Shell tcsh", "1:11", "Shell takes one of bash"),
        ('Set MarginFill "#12"', "1:16", "is no colour"),
        ("Set WindowBar Round", "1:15", "WindowBar takes one of"),
        ("Set CursorBlink 1", "1:17", "CursorBlink takes true or false"),
        ("Set", "1:4", "the end of the tape is no setting"),
        ("Require 3", "1:9", "Require takes a program's name"),
        ("Output", "1:7", "Output takes a path"),
        ("Output video", "1:1", "a folder ends in /"),
        ("Output /tmp/x.mp4", "1:8", "Output takes a path"),
        ("Screenshot x.gif", "1:1", "must end in .png"),
        ("Env 1a b", "1:5", "Env takes a name"),
        ("Source other.tape", "1:1", "Source is not followed"),
        ("Hide Show !", "1:11", "'!' is no command"),
        ("Enter\0", "1:6", "is no command"),
        ("", "1:1", "holds no command"),
        ("# nothing\n", "2:1", "holds no command"),
    ],
)
def test_what_vhs_refuses_is_refused_at_its_place(text, place, rule):
    with pytest.raises(ValueError, match=rf"^tape:{place}: .*{rule}"):
        tape.parse(text)


def test_a_file_that_is_no_text_or_no_tape_by_its_size_is_refused(tmp_path):
    path = tmp_path / "x.tape"
    path.write_bytes(b"Enter\nType \xff")
    with pytest.raises(ValueError, match="x.tape:2:6: is not UTF-8"):
        tape.read(path)
    path.write_bytes(b"#" * (tape.LARGEST + 1))
    with pytest.raises(ValueError, match="holds 1048577 bytes"):
        tape.read(path)


ILLEGAL = {
    # The first line at which the quotes do not hold, by eye.
    "basic_mix": {"sft_021958": 94, "sft_022249": 100},
    "dynamic_patterns": {"sft_022637": 91, "sft_022831": 91},
    "files_v7": {
        **{"sft_120097": 94, "sft_120291": 94, "sft_120485": 94},
        **{"sft_120582": 94, "sft_120873": 94, "sft_121261": 94},
    },
    "fs_workflows": {
        **{"sft_021764": 96, "sft_021861": 96, "sft_022540": 96},
        **{"sft_023025": 96, "sft_023122": 96, "sft_023219": 96},
    },
    "git_sessions": {
        **{"sft_022055": 95, "sft_022152": 95, "sft_022346": 95},
        **{"sft_022831": 95, "sft_023316": 95, "sft_023607": 95},
    },
    "interactive": {"interactive_098": 96},
    "monitoring_network": {"sft_023316": 94},
    "text_pipeline": {"sft_022249": 93},
}
KEPT = {"basic": 140, "arithmetic": 250, "basic_mix": 4, "dynamic_patterns": 4, "editors": 6, "files_v7": 0}
KEPT |= {"fs_workflows": 0, "git_sessions": 0, "interactive": 5, "monitoring_network": 5, "text_pipeline": 5}


@shipped
@pytest.mark.parametrize("folder", KEPT)
def test_the_shipped_tapes_parse_or_are_refused_at_the_line_where_a_quote_ends_too_soon(folder):
    kept, refused = 0, {}
    for path in sorted((TAPES / folder).glob("*.tape")):
        try:
            result = tape.read(path)
        except ValueError as error:
            rest = str(error).removeprefix(f"{path}:")
            assert "a string ends at its quote" in rest
            refused[path.stem] = int(rest.split(":")[0])
            continue
        kept += 1
        assert result.settings["Width"] == 1600 and path.stem.endswith(result.meta["ID"])
        assert isinstance(result.meta["CLASS"], dict) and result.meta["INSTRUCTION"] and result.commands
    assert kept == KEPT[folder] and refused == ILLEGAL.get(folder, {})


# Any text at all is a tape or an error with its place, in time

WORD = st.sampled_from(
    [*sorted(KEYWORDS), "+", "@", "1s", "500ms", "3", '"ab"', "'c'", "`d`", "/x/", "{", "}", "#", "$"]
)
NOISE = st.one_of(st.text(max_size=200), st.lists(WORD, max_size=40).map(" ".join), st.lists(WORD).map("\n".join))


def in_time(act: Callable[[], object], seconds: float) -> bool:
    """Whether an act takes less processor time than that, of this thread alone, in one of three tries.

    What is slow by itself is slow in all of them; what the process does by the way, like a collection of all its garbage, is
    not.
    """

    def spent() -> float:
        begin = time.thread_time()
        act()
        return time.thread_time() - begin

    return any(spent() < seconds for _ in range(3))


def holds(text: str) -> None:
    try:
        result = tape.parse(text, "fuzz")
        assert (
            result.commands
            or result.settings
            or result.outputs
            or result.requires
            or result.environment
            or result.ignored
        )
    except ValueError as error:
        name, line, column, rule = str(error).split(":", 3)
        lines = text.split("\n")
        assert name == "fuzz" and rule.strip() and len(str(error)) < 1500
        assert 1 <= int(line) <= len(lines) and 1 <= int(column) <= len(lines[int(line) - 1]) + 1


@pytest.mark.slow
def test_any_text_is_a_tape_or_an_error_with_its_place(request):
    def check(text: str) -> None:
        assert in_time(lambda: holds(text), seconds=1)

    fuzz(NOISE, check, request.config.getoption("--fuzz"))


@pytest.mark.parametrize("piece", ["{", '"', "/", "\\/", "'`", "Ctrl+", "Type ", "Set ", "#\n", "\n", "9", ".", "@"])
def test_the_largest_tapes_of_one_piece_are_read_in_time(piece):
    def read() -> None:
        try:
            tape.parse(piece * (200_000 // len(piece)))
        except ValueError as error:
            assert len(str(error)) < 1500

    assert in_time(read, seconds=5)
