"""Words for captions: what text on a screen looks like and what colours are called."""

import re

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
"""(phrase, pattern of it, matches that it takes)"""

COLOURS = ("dark", "blue", "green", "cyan", "red", "magenta", "yellow", "bright")
"""Colour names; the index has bit 4 for strong red, 2 for strong green, 1 for strong blue"""
