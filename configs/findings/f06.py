"""Finding 6: reprompting. With the answer in the prompt it is drawn: 4 % become 83 % in the paper.

    python -m launch.reproduce --finding=f06

The trainings are finding 5's. Two controls say what that means: a wrong answer in the prompt, and a computer that can add.
It is a renderer's skill in both: the one that computes draws the wrong answer, too, when it is given one.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import f05
from neural_computer.workflows.findings import Arm, Claim

TITLE = "Reprompting: the answer in the prompt is drawn"
ARMS = {name: f05.ARMS[name] for name in ("copies", "computes")}
SOURCE = "arXiv 2604.06425v2: the same problems, reprompted"
PAPER = ({"arm": "NC_CLIGen", "no answer": 0.04, "with the answer": 0.83},)
COLUMNS = {
    "without_answer/output_exact": "no answer",
    "with_answer/output_exact": "with the answer",
    "wrong_answer/wrong_answer_exact": "a wrong one is drawn",
    "wrong_answer/output_exact": "a wrong one is not believed",
}
CURVES = ("output_exact_with_answer",)
DIFFERS = ("Half of our training captions have the answer in the same words, so this is trained-in rendering of text.",)
CLAIM = (
    Claim(
        "The answer in the prompt makes a computer right that is not without it.",
        lambda results: results.above(
            ("copies", "with_answer/output_exact"), ("copies", "without_answer/output_exact")
        ),
    ),
    Claim(
        "It renders its prompt: a wrong answer is drawn more often than the right one.",
        lambda results: results.above(
            ("copies", "wrong_answer/wrong_answer_exact"), ("copies", "wrong_answer/output_exact")
        ),
    ),
    Claim(
        "So does a computer that can add.",
        lambda results: results.above(
            ("computes", "wrong_answer/wrong_answer_exact"), ("computes", "wrong_answer/output_exact")
        ),
    ),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size: finding 5's."""
    return f05.arm(name, size)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
