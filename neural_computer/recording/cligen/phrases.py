"""Words for captions: what programs are for, what text on a screen looks like, what colours are called."""

import re

_PROGRAMS = {
    "listing files": "ls ll la dir tree exa eza lsd",
    "moving between folders": "cd pushd popd pwd z",
    "reading a file": "cat less more head tail bat tac nl strings xxd hexdump od",
    "editing a file": "vi vim nvim nano emacs ed code micro helix hx kak",
    "changing files": "cp mv rm mkdir rmdir touch ln rsync install dd truncate",
    "searching": "grep rg ag ack find fd locate which whereis type fzf",
    "processing text": (
        "sed awk gawk mawk cut sort uniq tr wc column paste join fmt fold rev xargs tee jq yq diff comm split shuf"
    ),
    "printing text": "echo printf yes seq banner figlet cowsay lolcat",
    "working with version control": "git gh hg svn jj tig lazygit glab",
    "managing packages": (
        "pip pipx apt apt-get brew dnf yum pacman npm yarn pnpm bun conda mamba gem snap nix poetry uv apk choco winget"
    ),
    "building software": (
        "make cmake ninja cargo go gcc g++ clang rustc javac mvn gradle bazel dotnet meson tsc webpack vite just"
    ),
    "running a language's interpreter": (
        "python python3 ipython node deno ruby irb perl lua julia php ghci R Rscript scala bc psql sqlite sqlite3"
    ),
    "testing": "pytest tox jest ctest mocha phpunit rspec",
    "working with containers": (
        "docker podman kubectl helm k9s docker-compose minikube kind vagrant terraform ansible ansible-playbook"
    ),
    "using the network": (
        "curl wget ssh scp ping dig nslookup nc netstat ss ip ifconfig traceroute ftp telnet http mosh"
    ),
    "looking at processes": "ps top htop btop kill killall pkill jobs bg fg watch pgrep lsof free uptime vmstat nproc",
    "looking at the system": (
        "uname whoami id hostname date cal df du env printenv lscpu lsblk mount dmesg neofetch fastfetch groups "
        "who stat file"
    ),
    "changing permissions": "chmod chown chgrp umask setfacl su passwd",
    "packing archives": "tar gzip gunzip zip unzip xz bzip2 zstd 7z",
    "setting up the shell": "export alias unset source set bash zsh fish sh history clear reset exit logout tput stty",
    "writing a loop": "for while until if case select function",
    "recording the terminal": "asciinema vhs agg script scriptreplay termtosvg",
    "handling encryption": "openssl gpg age ssh-keygen sha256sum md5sum sha1sum base64 pass",
    "querying a database": "mysql mongosh mongo redis-cli iredis duckdb clickhouse",
    "using a terminal multiplexer": "tmux screen zellij",
    "reading documentation": "man info help tldr apropos",
    "waiting": "sleep wait read",
}
FAMILIES = {program: phrase for phrase, programs in _PROGRAMS.items() for program in programs.split()}
"""Program -> what it is for."""

TRAITS = tuple(
    (phrase, re.compile(pattern, re.MULTILINE), least)
    for phrase, pattern, least in (
        ("panels with drawn frames", r"[│┃║]", 6),
        ("ruled lines", r"[─━═]{8,}|[-=_]{12,}", 1),
        ("error messages", r"(?i:\b(?:error|failed|fatal|exception|traceback|denied|not found)\b)", 1),
        ("warnings", r"(?i:\bwarn(?:ing)?s?\b)", 1),
        ("marks of success", r"[✓✔✅]|(?i:\b(?:passed|success(?:fully)?)\b)", 1),
        ("a progress bar", r"[█▉▊▋▌▍▎▏▓▒░]{4,}|\[[#=]{3,}[> .-]*\]|\d+%\|", 1),
        ("percentages", r"\b\d+(?:\.\d+)?%", 2),
        ("columns of figures", r"^\s*(?:\S+\s+)?(?:[\d.,:]+\s+){3,}", 3),
        ("a long listing with permissions", r"^[dl-][rwx-]{9}", 2),
        ("time stamps", r"\b\d{1,2}:\d{2}:\d{2}\b", 2),
        ("paths of files", r"(?:^|\s)(?:~|\.{0,2})/[\w.-]+/[\w./-]+", 3),
        ("web addresses", r"https?://", 1),
        ("structured data in braces", r"^\s*[\"'][\w-]+[\"']\s*:", 2),
        (
            "source code",
            r"^\s*(?:def|class|fn|func|function|import|from|const|let|return|if|for|use|#include)\b.*[:;{()]",
            2,
        ),
        ("a numbered list", r"^\s*\d+[.)]\s", 3),
        ("a bulleted list", r"^\s*[-*•◦▪]\s", 3),
        ("a tree of entries", r"[├└]──", 2),
        ("a list of options", r"^\s*-{1,2}\w[\w-]*", 3),
        ("added and removed lines", r"^(?:[+-](?![+-])|@@)", 4),
        ("a hint of keys to press", r"(?i:\b(?:ctrl|esc|enter|tab|↑|↓|quit|press)\b)", 2),
        ("a question", r"\?\s*(?:\[|\(|$)", 1),
        ("writing that is not Latin", r"[\u0370-\u1fff\u3040-\ud7af]{2,}", 1),
        ("pictograms", r"[\U0001f300-\U0001faff☀-➿]", 2),
        ("short lines of prose", r"^\W*[A-Z][a-z]+(?:\s[a-z]+){3,}", 1),
        ("only a few words", r"\A(?:.*\n?){0,3}\Z", 1),
    )
)
"""(phrase, what shows it, how often at least)"""

COLOURS = ("dark", "blue", "green", "cyan", "red", "magenta", "yellow", "bright")
"""By which of red, green and blue are strong: bits 4, 2, 1."""
