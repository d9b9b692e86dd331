"""Recordings read: three versions as one, what is wrong with each file is repaired and listed."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_computer.recording.terminal import cast
from neural_computer.recording.terminal.cast import Cast, Entry, parse
from tests.fuzz import fuzz

CASTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "casts"
shipped = pytest.mark.skipif(not CASTS.is_dir(), reason="no recordings beside the checkout (shared/data/casts)")

V1 = {"version": 1, "width": 80, "height": 24, "stdout": [[1.0, "a"], [0.5, "b"], [0.25, "c"]]}
V2 = {"version": 2, "width": 80, "height": 24}
V3 = {"version": 3, "term": {"cols": 80, "rows": 24}}


def lines(*values) -> bytes:
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values).encode()


def seen(data: bytes) -> list[tuple[float, str]]:
    return [(entry.time, entry.data) for entry in parse(data, strict=True).entries]


def test_three_versions_tell_the_same_times():
    same = [(1.0, "a"), (1.5, "b"), (1.75, "c")]
    assert seen(lines(V1)) == same
    assert seen(json.dumps(V1, indent=2).encode()) == same
    assert seen(lines(V2, [1, "o", "a"], [1.5, "o", "b"], [1.75, "o", "c"])) == same
    assert seen(lines("# a comment", V3, [1, "o", "a"], "# another", "", [0.5, "o", "b"], [0.25, "o", "c"])) == same


def test_relative_times_of_versions_1_and_3_are_absolute_once_written(tmp_path):
    """A public converter copies version 1's delays as if they were times, and passes version 3 off as version 2."""
    for data in (lines(V1), lines(V3, [1, "o", "a"], [0.5, "o", "b"], [0.25, "o", "c"])):
        cast.write(parse(data), tmp_path / "a.cast")
        header, *events = map(json.loads, (tmp_path / "a.cast").read_text().splitlines())
        assert header == V2 and [time for time, _, _ in events] == [1.0, 1.5, 1.75]


def test_headers_keep_their_keys():
    theme = {"fg": "#ffffff", "bg": "#000000", "palette": ":".join(["#123456"] * 8)}
    data = lines({"version": 3, "term": {"cols": 9, "rows": 5, "type": "vt100", "theme": theme}, "title": "t", "x": 1})
    assert parse(data, strict=True) == Cast(9, 5, (), 3, {"title": "t", "theme": theme, "env": {"TERM": "vt100"}})


def test_all_codes_arrive():
    events = [[0, "o", "a"], [0, "i", "\r"], [0, "m", "here"], [1, "r", "100x30"], [2, "x", "0"]]
    assert [e.code for e in parse(lines(V2, *events), strict=True).entries] == list("oimrx")


REPAIRS = {
    "a string for a number": (["1", "o", "a"], "must be a number; it is read as one", Entry(1.0, "o", "a")),
    "no number at all": ([None, "o", "a"], "must be a number; no time passes", Entry(0.5, "o", "a")),
    "an endless number": ('[1e999, "o", "a"]', "must be a number; no time passes", Entry(0.5, "o", "a")),
    "time going back": ([0.2, "o", "a"], "time goes back by 0.3 s; no time passes", Entry(0.5, "o", "a")),
    "four parts": ([1, "o", "a", 0], "more than three parts", Entry(1.0, "o", "a")),
    "half a surrogate pair": ('[1, "o", "\\ud83d"]', "half a surrogate pair", Entry(1.0, "o", "\ufffd")),
    "text that is none": ([1, "o", True], "must be", None),
    "an unknown code": ([1, "q", "a"], "must be", None),
    "a line cut off": ('[1, "o", "a', "must be", None),
    "not a number": ('[NaN, "o", "a"]', "must be", None),
    "an impossible resize": ([1, "r", "1000000000x24"], "between 1 and 1000", None),
    "a resize to nothing": ([1, "r", "0x0"], "between 1 and 1000", None),
    "a resize that is none": ([1, "r", "wide"], "COLSxROWS", None),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_a_violated_rule_is_listed_and_repaired(name):
    """Strict: an error with file, line and rule. Lenient: a repair, listed; a line that cannot be repaired is left out."""
    line, rule, entry = REPAIRS[name]
    data = lines(V2, [0.5, "o", "first"], line)
    with pytest.raises(ValueError, match=f"^f.cast:3: .*{rule.split(';')[0]}"):
        parse(data, "f.cast", strict=True)
    read = parse(data, "f.cast")
    assert read.entries == (Entry(0.5, "o", "first"), *([entry] if entry else []))
    assert len(read.repairs) == 1 and read.repairs[0].startswith("3: ") and rule in read.repairs[0]


def test_after_a_step_back_in_time_distances_are_kept():
    read = parse(lines(V2, [5, "o", "a"], [1, "o", "b"], [2, "o", "c"]))
    assert [entry.time for entry in read.entries] == [5.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("header", "size"),
    [({"width": 0, "height": 0}, (80, 24)), ({"width": 100}, (100, 24)), ({"width": "90", "height": 30.0}, (90, 30))],
)
def test_a_missing_size_is_the_usual_one(header, size):
    data = lines({"version": 2, **header})
    read = parse(data)
    assert (read.cols, read.rows) == size and read.repairs
    with pytest.raises(ValueError, match="cast:1: (width|height)"):
        parse(data, strict=True)


REFUSED = {
    "nothing": (b"", "header"),
    "binary": (bytes(range(256)) * 9, "header"),
    "text": (b"$ echo hello\nhello\n", "header"),
    "another version": (lines({"version": 4}), "version 1, 2 or 3"),
    "true for a version": (lines({"version": True, "stdout": []}), "version 1, 2 or 3"),
    "version 1 without output": (lines({"version": 1}), "stdout must be a list"),
    "10^9 columns": (lines(V2 | {"width": 10**9}), "width=1000000000 must be between 1 and 1000"),
    "negative rows": (lines(V2 | {"height": -3}), "height=-3 must be between 1 and 1000"),
    "a million years": (lines(V2, [3e13, "o", "a"]), "lasts more than"),
    "no line right": (lines(V2, *["?"] * 2000), "more than 1000 lines need repair"),
    "brackets without end": (b"[" * 1_000_000, "header"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_refused_with_its_line(name):
    data, rule = REFUSED[name]
    with pytest.raises(ValueError, match=rf"^f.cast:\d+: .*{rule}"):
        parse(data, "f.cast")


def test_a_file_too_large_is_not_even_read(tmp_path):
    path = tmp_path / "large.cast"
    with path.open("wb") as file:
        file.truncate(cast.LONGEST + 1)
    with pytest.raises(ValueError, match="has 33554433 bytes"):
        cast.read(path)


def test_a_line_of_three_megabytes_is_read():
    assert len(parse(lines(V2, [0, "o", "x" * 3_000_000]), strict=True).entries[0].data) == 3_000_000


def test_cut_off_anywhere_the_entries_before_are_kept():
    data = lines(V3, [1, "o", "a日"], [0.5, "o", "b"], [0.25, "o", "c"])
    whole = parse(data).entries
    for end in range(data.index(b"\n"), len(data)):
        entries = parse(data[:end]).entries
        assert entries == whole[: len(entries)] and len(entries) >= data[:end].count(b"\n") - 1


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
entries = st.lists(
    st.builds(Entry, st.floats(0, 1e6), st.sampled_from("oimx"), texts)
    | st.builds(Entry, st.floats(0, 1e6), st.just("r"), st.just("80x24")),
    max_size=8,
).map(lambda values: tuple(sorted(values, key=lambda entry: entry.time)))
recordings = st.builds(
    Cast, st.integers(1, 1000), st.integers(1, 1000), entries, meta=st.dictionaries(st.just("title"), texts)
)


# The type checker draws which entries it looks at.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
@given(recordings)
@settings(deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, recording):
    path = tmp_path_factory.getbasetemp() / "written.cast"
    cast.write(recording, path)
    assert cast.read(path, strict=True) == recording


# Files of other people

ODD = {
    "hello_world": "header",
    "autocompletion": "header",
    "change_structure": "header",
    "man_page": "header",
    "1__invalid-data.json": ["2: must be [time, code, text]"],
    "1__invalid-time-2.json": ["2: time '4.419' must be a number"],
    "2__empty-theme": ["1: theme: must have fg, bg and palette"],
    "2__invalid-data": ["3: must be [time, code, text]"],
    "2__invalid-theme": ["1: theme: '' must be a colour"],
    "2__invalid-time-2": ["3: time '2.0' must be a number"],
    "2__wrong-event-length": ["3: has more than three parts"],
    "3__empty-theme": ["1: theme: must have fg, bg and palette"],
    "minimal-v2": ["3: time goes back by 0.4 s"],
}
"""What happens to the odd files, by the end of their names: refused with a rule, or read with repairs. The others are read
as they are."""


@shipped
def test_every_odd_file_is_handled_as_its_kind_deserves():
    met = set()
    for path in sorted((CASTS / "odd").glob("*.cast")):
        kind = next((kind for kind in ODD if path.stem.endswith(kind)), None)
        met.add(kind)
        expected = ODD.get(kind, [])
        if isinstance(expected, str):
            with pytest.raises(ValueError, match=rf"{path.name}:1: .*{expected}"):
                cast.read(path)
            continue
        repairs = cast.read(path).repairs
        assert len(repairs) == len(expected), (path.name, repairs)
        assert all(repair.startswith(start) for repair, start in zip(repairs, expected, strict=True)), (
            path.name,
            repairs,
        )
        if expected:
            with pytest.raises(ValueError, match=f"^{path.name}:{expected[0].split(' ')[0]}"):
                cast.read(path, strict=True)
        else:
            cast.read(path, strict=True)
    assert met == {*ODD, None}


@shipped
def test_all_sessions_are_read_and_only_a_missing_size_is_repaired():
    repairs = {path.name: cast.read(path).repairs for path in (CASTS / "sessions").glob("*.cast")}
    assert len(repairs) == 52
    assert {name: len(lines) for name, lines in repairs.items() if lines} == {
        "robotmem__robotmem__examples__demo2.cast": 2
    }


pieces = st.sampled_from(
    [lines(V1), lines(V2), lines(V3), b"\n", b"[", b"]", b'"', b"1e999", b"null", b'"o"', b"\\ud800"]
)
files = st.one_of(
    st.binary(max_size=200),
    st.lists(pieces | st.binary(max_size=4), max_size=12).map(b"".join),
    st.tuples(
        st.sampled_from([V2, V3]),
        st.lists(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | texts, st.lists, max_leaves=6)),
    ).map(lambda values: lines(values[0], *values[1])),
)


@pytest.mark.slow
def test_no_file_breaks_the_reader(pytestconfig, tmp_path):
    """Whatever the bytes: an error that names a line, or a recording whose times rise and which can be written."""

    def check(data: bytes) -> None:
        for strict in (True, False):
            try:
                read = parse(data, "f", strict)
            except ValueError as error:
                assert str(error).startswith("f:")
                continue
            assert not (strict and read.repairs)
            times = [entry.time for entry in read.entries]
            assert times == sorted(times) and 1 <= read.cols <= 1000 and 1 <= read.rows <= 1000
            cast.write(read, tmp_path / "a.cast")
            again = cast.read(tmp_path / "a.cast", strict=True)
            assert (again.cols, again.rows, again.entries, again.meta) == (
                read.cols,
                read.rows,
                read.entries,
                read.meta,
            )

    fuzz(files, check, pytestconfig.getoption("fuzz"))
