"""The prompt of a Python session, and the wording of its captions."""

PROMPT = ">>> "


def caption(expression: str, answer: str | None = None) -> str:
    """Caption of a Python session in the paper's words; with `answer`, in its reprompting form."""
    return f"python {expression}" + (f" The answer is {answer}" if answer is not None else "")
