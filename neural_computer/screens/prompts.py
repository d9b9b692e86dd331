"""What a Python session shows before a typed line, and how its captions are worded."""

PROMPT = ">>> "


def caption(expression: str, answer: str | None = None) -> str:
    """What the model is told, in the paper's words; with `answer`, its reprompting form."""
    return f"python {expression}" + (f" The answer is {answer}" if answer is not None else "")
