"""Programs of Unix machines, by what they are for, and the message of a shell that does not find one."""

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

_BUILTINS = """
    alias bg case cd export fg for function help history if jobs logout popd pushd read select set source type unset until
    wait while
"""
INSTALLABLE = FAMILIES.keys() - set(_BUILTINS.split())
"""Names that a shell does not find only where they are not installed; bash's builtins may be unknown to another shell"""

ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
NOT_FOUND = re.compile(
    r"[^\s:]+: (?:(?:line \d+: )?(?P<bash>[^\s:]+): command not found|\d+: (?P<sh>[^\s:]+): not found)"
)
"""bash: vim: command not found · x.sh: line 2: vim: command not found · sh: 1: vim: not found"""


def not_found(line: str) -> str | None:
    """Name of the command that this line of output, of bash or a POSIX sh, reports as not found; else None."""
    match = NOT_FOUND.fullmatch(ESCAPE.sub("", line))
    return match and (match["bash"] or match["sh"])
