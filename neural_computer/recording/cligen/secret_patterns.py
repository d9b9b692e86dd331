"""Patterns of secrets and personal strings (PII) in a line of a terminal.

Formats are a table. Entropy is no criterion: commit hashes, checksums and UUIDs look as random as keys, and terminals are
full of them.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

MARK = "*"


class Finding(NamedTuple):
    """Characters `start` to `stop` of a text, a secret or personal string of this `kind`."""

    kind: str
    start: int
    stop: int


KEYS = (
    r"(?:A3T[A-Z0-9]|AB[AI]A|ACCA|AKIA|ASIA)[A-Z0-9]{16}",  # Amazon
    r"gh[pousr]_\w{30,}",  # GitHub
    r"github_pat_\w{22,}",
    r"gl(?:pat|ptt|rt|dt|sa|cbt|soat)[-_][\w-]{20,}",  # GitLab, Grafana
    r"(?:xox[abeoprs]|xapp)-[\w-]{10,}",  # Slack
    r"hooks\.slack\.com/services/[\w/]{20,}",
    r"(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}",  # Stripe, Clerk
    r"sk-[\w-]{20,}",  # OpenAI, Anthropic, DeepSeek, OpenRouter
    r"(?:gsk|fw|r8|hf|csk|nvapi|xai|pplx|jina)[-_][A-Za-z0-9_-]{28,}",  # Groq, Replicate, Hugging Face, NVIDIA, xAI
    r"AIza[\w-]{35}",  # Google
    r"GOCSPX-[\w-]{20,}",
    r"ya29\.[\w-]{20,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[\w-]{40,}",
    r"rubygems_[0-9a-f]{40,}",
    r"cio[A-Za-z0-9]{32}\b",  # crates.io
    r"dckr_pat_[\w-]{20,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",  # SendGrid
    r"(?:AC|SK)[0-9a-f]{32}",  # Twilio
    r"key-[0-9a-f]{32}",  # Mailgun
    r"[0-9a-f]{32}-us\d{1,2}",  # Mailchimp
    r"do[opr]_v1_[0-9a-f]{40,}",  # DigitalOcean
    r"\d{8,10}:AA[\w-]{33}",  # Telegram
    r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}",  # Discord
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"sq0(?:atp|csp)-[\w-]{22,}",  # Square
    r"AGE-SECRET-KEY-1[A-Z0-9]{40,}",
    r"hv[bs]\.[\w-]{24,}",  # Vault
    r"dapi[0-9a-f]{32}",  # Databricks
    r"sb[ps]_[0-9a-f]{40}",  # Supabase
    r"(?:lin_api|ntn|secret|pscale_tkn|phc|sntrys|nfp|pat|fo1|tskey-[a-z]+|NRAK|pul|glsa)[-_][A-Za-z0-9_-]{30,}",
    r"[\w-]{14}\.atlasv1\.[\w-]{40,}",  # Terraform
    r"EAACEdEose0cBA[0-9A-Za-z]+",  # Facebook
)
TOKEN = r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"
"""JSON web token"""

WORDS = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|(?:access|private|auth|signing|account)[_-]?key)"
VALUE = r"(?:\"(?P<double>[^\"]{4,})\"|'(?P<single>[^']{4,})'|(?P<bare>[^\s\"'`,;)]{4,}))"

PATTERNS: tuple[tuple[str, str], ...] = (
    *(("key", rf"(?<![A-Za-z0-9])(?P<it>{key})") for key in KEYS),
    ("token", rf"(?P<it>{TOKEN})"),
    (
        "token",
        r"(?i:authorization|proxy-authorization|x-api-key)['\"]?:\s*(?:(?:bearer|basic|token)\s+)?(?P<it>[\w.~+/=-]{8,})",
    ),
    ("token", r"\b(?i:bearer)\s+(?P<it>[\w.~+/=-]{16,})"),
    ("password", r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@'\"]{0,80}:(?P<it>[^\s/@'\"]{1,200})@"),
    ("password", rf"(?i:\b[\w.-]{{0,40}}{WORDS}(?![A-Za-z])[\w.-]{{0,20}})=(?P<it>{VALUE})"),
    ("password", rf"(?i:--[\w-]{{0,30}}(?:{WORDS}|pass)) (?!-)(?P<it>{VALUE})"),
    (
        "password",
        rf"(?i:['\"]?\b[\w.-]{{0,40}}{WORDS}(?![A-Za-z])[\w.-]{{0,20}}['\"]?)\s*(?::|=>?|:=)\s+"
        rf"(?P<it>(?=\S*[A-Za-z])(?=\S*\d){VALUE})",
    ),
    (
        "password",
        r"(?i:^\W*(?:enter |new |retype |confirm |repeat |current |\[sudo\] )*(?:password|passphrase|pin)[^:]{0,60}):\s?"
        r"(?P<it>\S.{2,})$",
    ),
    ("password", r"\bsshpass\s+-p\s*(?P<it>\S{3,})"),
    ("password", r"\b(?:mysql|mysqldump|mariadb)\b.{0,200}?\s-p(?P<it>[^\s-]\S{2,})"),
    ("password", r"\bcurl\b.{0,300}?\s(?:-u|--user)\s*['\"]?[^\s:'\"]+:(?P<it>[^\s'\"]+)"),
    ("email", r"(?<![\w.+-])(?P<it>[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})(?![\w-])"),
    ("ip", r"(?<![\w.+-])(?P<it>(?:\d{1,3}\.){3}\d{1,3})(?![\w-]|\.\d)"),
    ("ip", r"(?<![\w:.])(?P<it>[23][0-9a-fA-F]{3}:(?:[0-9a-fA-F]{0,4}:){2,6}[0-9a-fA-F]{0,4})(?![\w:])"),
)
COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in PATTERNS)

START, REST = r"^\W{0,8}(?:\(\S+\)\W{0,3})?", r"(?:[:\s)\]]\s*\S.{0,120}?)?[$#%>❯➜λ»]"
"""Patterns of a prompt before and behind `user@host`"""
NAMES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("home", r"(?:/home/|/Users/|[A-Za-z]:\\Users\\|/c/Users/)(?P<it>[\w.][\w.-]*)"),
        (
            "user",
            rf"{START}(?P<it>[A-Za-z_][\w.-]{{0,31}})[@㉿][A-Za-z0-9][\w.-]*{REST}",
        ),
        (
            "host",
            rf"{START}[A-Za-z_][\w.-]{{0,31}}[@㉿](?P<it>[A-Za-z0-9][\w.-]*){REST}",
        ),
        ("user", r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b.{0,200}?\s(?P<it>[A-Za-z_][\w.-]*)@[A-Za-z0-9]"),
        ("host", r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b.{0,200}?\s[A-Za-z_][\w.-]*@(?P<it>[A-Za-z0-9][\w.-]*)"),
        ("user", r"\[sudo\] password for (?P<it>[\w.-]+)"),
        ("user", r"^\W{0,8}(?i:login|username|logged in as)(?: as)?: (?P<it>[A-Za-z_][\w.-]+)\s*$"),
    )
)
"""(kind, pattern) of places where people and machines are named"""

VARIABLES = {"USER": "user", "LOGNAME": "user", "USERNAME": "user", "HOSTNAME": "host", "HOST": "host"}
"""{variable of a recording's environment: kind}"""

_COMMON = """
    root user users admin guest ubuntu debian ec2-user runner vagrant pi git nobody me you test tester dev docker
    node app home linuxbrew coder codespace vscode builder alpine fedora arch archlinux kali centos www-data
    postgres mysql redis jovyan sandbox default student localhost host local server container shared public
    github.com gitlab.com bitbucket.org raspberrypi machine computer bash zsh fish linux macos windows username name
"""
COMMON = frozenset(_COMMON.split())
"""Names that identify nobody"""

PLACEHOLDER = re.compile(
    r"(?i)[$<{(\[*/~.%\\]|-|x{3,}|your|my[_-]|example|none\b|null\b|true\b|false\b|str\b|string|int\b|bool|object|undefined|nil\b"
    r"|required|optional|redacted|os\.|process\.|env\.|self\.|get"
)
_SUFFIXES = """
    png jpg jpeg gif svg ico json js mjs ts tsx jsx css html md txt py rs go c h cpp so conf cfg toml yaml yml lock
    zip gz tgz xz log sh service socket target timer mount scope slice device path swap
"""
SUFFIXES = frozenset(_SUFFIXES.split())
"""Suffixes of files and services: `icon@2x.png` and `getty@tty1.service` are no email addresses"""
RESOLVERS = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"})

BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----")
END = re.compile(r"-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----")
BODY = re.compile(r"[A-Za-z0-9+/=_-]{12,}|[A-Za-z-]+: .+|[A-Za-z0-9+/]{0,11}={0,2}")
"""Row of a key's block: base64, a header, or the short last row"""
PROMPT = re.compile(r"(?i:password|passphrase|passcode|\bpin\b|secret|token|api[ _-]?key)[^:>?]{0,60}[:>?]\s*$")
"""Text left of the cursor where a program asks for a secret"""


@lru_cache(100_000)
def find(text: str) -> tuple[Finding, ...]:
    """Secrets and addresses in a line, and names of people and machines at NAMES' places. They may overlap."""
    secrets = [
        Finding(kind, *span)
        for kind, pattern in COMPILED
        for match in pattern.finditer(text)
        if (span := _span(match)) and _real(kind, text[slice(*span)])
    ]
    return (*secrets, *(Finding(kind, *place) for kind, place in _names(text)))


def _span(match: re.Match[str]) -> tuple[int, int]:
    """Span of the value, without its quotes."""
    inner = [name for name in ("double", "single", "bare") if match.groupdict().get(name) is not None]
    return match.span(inner[0] if inner else "it")


def _real(kind: str, value: str) -> bool:
    """Whether a match is what its pattern stands for, and no variable, placeholder, file or public machine."""
    if kind == "password":
        return not PLACEHOLDER.match(value) and "(" not in value and len(set(value)) > 1
    if kind == "email":
        local, domain = value.split("@")
        return domain.rsplit(".", 1)[1].lower() not in SUFFIXES and local != "git"
    if kind == "ip":
        try:
            return ipaddress.ip_address(value).is_global and value not in RESOLVERS
        except ValueError:
            return False
    return True


def _names(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for kind, pattern in NAMES:
        for match in pattern.finditer(text):
            if match["it"].lower().rstrip(".") not in COMMON:
                yield kind, match.span("it")


def environment(meta: Mapping[str, Any]) -> dict[str, str]:
    """{name: kind} of people and machines that a recording's header gives away."""
    variables = meta.get("env") or {}
    names = {str(value): VARIABLES[name] for name, value in variables.items() if name in VARIABLES}
    return {name: kind for name, kind in names.items() if name.lower() not in COMMON and len(name) > 1}


def key_blocks(rows: list[str], strings: Mapping[str, str]) -> list[int]:
    """Indices of the rows of private-key blocks.

    If BEGIN or END has scrolled off the screen, rows next to a row of a key count as part of the block; `strings` maps
    strings of this recording to their kinds (see `redact.Secrets`).
    """
    block: set[int] = set()
    for r, row in enumerate(rows):
        if BEGIN.search(row) or (strings.get(row.strip()) == "private key" and not END.search(row)):
            block.update(_run(rows, range(r, len(rows)), END))
        if END.search(row):
            block.update(_run(rows, range(r, -1, -1), BEGIN))
    return sorted(block)


def _run(rows: list[str], places: range, last: re.Pattern[str]) -> Iterator[int]:
    """Rows from one end of a block, up to its other end or the first row that cannot belong to it."""
    for n, r in enumerate(places):
        row = rows[r].strip(" │|┃║")
        if n and not last.search(row) and not BODY.fullmatch(row):
            return
        yield r
        if last.search(row):
            return
