"""The tapes of the arithmetic probe, in which a real Python solves its problems."""

from neural_computer.recording.problems import Problem


def tape(problem: Problem) -> str:
    """Tape as in the paper: Python starts, computes the expression, and ends."""
    lines = [
        f"# ID: arithmetic/{problem.expression}",
        f"# KIND: {problem.kind}",
        "Require python",
        "Set TypingSpeed 70ms",
    ]
    lines += ["Sleep 200ms", 'Type "python"', "Enter", "Sleep 1s", f'Type "{problem.expression}"', "Enter"]
    return "\n".join([*lines, "Sleep 800ms", 'Type "exit()"', "Enter", "Sleep 500ms", ""])


def printed(screens: tuple[str, ...], problem: Problem) -> str | None:
    """Line below the expression on the first screen that has one; None if no screen has."""
    for screen in dict.fromkeys(screens):
        lines = [line.rstrip() for line in screen.split("\n")]
        typed = f">>> {problem.expression}"
        if typed in lines[:-1] and (below := lines[lines.index(typed) + 1]):
            return below
    return None
