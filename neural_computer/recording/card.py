"""The data card beside a data set, from what its build counted."""

from collections.abc import Mapping
from typing import Any

FILE = "DATA_CARD.md"
DESCRIPTION = {
    "repl": "Python sessions of one expression each, as a pseudo-terminal shows them, a key a frame or pasted.",
    "number_files": "Sessions of a bash in a pseudo-terminal that print a file of numbers; captions in three tiers.",
    "videos": "Videos of a folder, letterboxed to one size, with the captions that lay beside them.",
    "encode": "Another dataset through frozen encoders: latents and features, no pictures.",
    "cligen_general": "Clips of terminal recordings that people published, drawn anew: after the paper's CLIGen (General).",
    "cligen_clean": "Terminals typed to by scripts in a sandbox, one font, theme and size: after the paper's CLIGen (Clean).",
    "guiworld": "Clips of a desktop with its mouse and keyboard: after the paper's GUIWorld.",
    "tty": "Long sessions typed into a terminal, simulated or real, at most a key a frame, with the kind of every frame.",
    "desk": "Long sessions on a small synthetic desktop, a frame at a time, with the kind of every frame.",
    "sessions": "What people typed and clicked on live machines, with their consent; the screens are the true machine's.",
    "arithmetic": "Python sessions that compute one expression, typed in a sandbox: the paper's arithmetic probe.",
}
NOTES = {
    "cligen_general": (
        "Captions come from templates unless a text model wrote them; they describe what is on the screen and not why.",
        "Secrets and personal strings are recognised by their form and by the names a recording gives away; a form that is in "
        "no list stays. Pictures are drawn after masking.",
        "The people recorded consented to publication under the licence listed, not to any particular use.",
        "Pauses are cut to two seconds, clips longer than five are sped up: time is not the recording's.",
    ),
    "cligen_clean": (
        "In lock-step, a key is pressed when the screen has settled: delays are the script's and no machine's.",
        "What depends on the machine (date, process numbers) differs from build to build.",
    ),
    "tty": (
        "The typists are programs: no person typed. The terminal has few commands: clear, date, sums, else an echo.",
        "Operand pairs of the test split are in no training session. All is on the screen but what Up recalls.",
    ),
    "desk": (
        "The users are programs. Apps open at once and one at a time; nothing is pressed that would change what is not shown.",
    ),
    "arithmetic": ("The answers are Python's own. Operand pairs of the test split are in no training clip.",),
}


def card(report: Mapping[str, Any]) -> str:
    """The card in Markdown."""
    recipe = report["settings"]["recipe"]
    lines = [f"# {recipe}", "", DESCRIPTION[recipe], "", "## Counts", "", "| | |", "|---|---|"]
    lines += [
        f"| {name} | {summary(value)} |" for name, value in report.items() if name not in ("settings", "rejected")
    ]
    lines += [f"| rejected | {len(report['rejected'])} |", "", "## Made with", "", "| setting | value |", "|---|---|"]
    lines += [f"| {name} | {summary(value)} |" for name, value in report["settings"].items()]
    if NOTES.get(recipe):
        lines += ["", "## To know before use", "", *(f"- {text}" for text in NOTES[recipe])]
    if report["rejected"]:
        lines += ["", "## Rejected", "", "| recording | reason |", "|---|---|"]
        lines += [f"| {cell(name)} | {cell(reason)} |" for name, reason in report["rejected"].items()]
    return "\n".join(lines) + "\n"


def summary(value: Any) -> str:
    """A value as a table's cell; of lists in a mapping only their lengths."""
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(name)} {len(x) if isinstance(x, list) else x}" for name, x in value.items()) or "none"
    return cell(str(value))


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
