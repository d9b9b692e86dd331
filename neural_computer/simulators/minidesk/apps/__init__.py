"""The desk's programs, by name."""

from neural_computer.simulators.minidesk.apps.calculator import Calculator
from neural_computer.simulators.minidesk.apps.editor import Editor
from neural_computer.simulators.minidesk.apps.files import Files
from neural_computer.simulators.minidesk.apps.terminal import Terminal
from neural_computer.simulators.minidesk.state import App

START: dict[str, App] = {"Calc": Calculator(), "Edit": Editor(), "Term": Terminal(), "Files": Files()}
SIZES = {"Calc": (50, 56), "Edit": (84, 62), "Term": (86, 60), "Files": (60, 58)}
"""Width and height of a new window, where the screen has room."""
