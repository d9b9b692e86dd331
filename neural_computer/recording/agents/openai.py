"""OpenAI's computer tool (computer_use_preview, Responses API) as an `Agent`, and its actions in Anthropic's words."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_computer import media
from neural_computer.recording.agents.acting import Observation
from neural_computer.recording.agents.transport import Ask, Http, WireError

HTTP = Http("OPENAI", "https://api.openai.com/v1", "/responses", {"authorization": "Bearer {key}"})
BUTTONS = {"left": "left_click", "right": "right_click", "wheel": "middle_click"}
SIDES = {"back": "alt+Left", "forward": "alt+Right"}
"""Buttons that a mouse of three has not: what they do in a browser"""
NOTCH, WAIT = 100, 2.0
"""Pixels of a notch of the wheel; seconds of a wait, which has no time of its own"""


@dataclass
class OpenAI:
    """A model with an instruction; `ask` is how it is asked, by default with your key."""

    instruction: str
    model: str
    ask: Ask = HTTP
    _answer: Mapping[str, Any] = field(default_factory=dict)

    def act(self, seen: Observation) -> Sequence[Mapping[str, Any]]:
        """Raises WireError, for an answer that was cut or wants a person's consent too."""
        height, width, _ = seen.picture.shape
        tool = {
            "type": "computer_use_preview",
            "display_width": width,
            "display_height": height,
            "environment": "linux",
        }
        request = {"model": self.model, "tools": [tool], "truncation": "auto", "input": self._told(seen)}
        if self._answer:
            request["previous_response_id"] = self._answer["id"]
        self._answer = self.ask(request)
        if self._answer.get("status") != "completed":
            why = self._answer.get("error") or self._answer.get("incomplete_details")
            raise WireError(f"{self.model}: its answer is {self._answer.get('status')!r}: {why}")
        for call in _calls(self._answer):
            if checks := call.get("pending_safety_checks"):
                raise WireError(f"{self.model}: wants a person's consent, and none is here: {checks}")
        wanted = [action for call in _calls(self._answer) for action in call.get("actions") or [call["action"]]]
        return [canonical for action in wanted for canonical in translated(action)]

    def _told(self, seen: Observation) -> list[dict[str, Any]]:
        """The instruction, or what came of the last actions, with the picture."""
        url = "data:image/png;base64," + base64.b64encode(media.png(seen.picture)).decode()
        if not self._answer:
            content = [{"type": "input_text", "text": self.instruction}, {"type": "input_image", "image_url": url}]
            return [{"role": "user", "content": content}]
        output = {"type": "computer_screenshot", "image_url": url}
        told: list[dict[str, Any]] = [
            {"type": "computer_call_output", "call_id": call["call_id"], "output": output}
            for call in _calls(self._answer)
        ]
        if seen.fault:
            told.append({"role": "user", "content": [{"type": "input_text", "text": seen.fault}]})
        return told


def _calls(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in answer["output"] if item["type"] == "computer_call"]


def translated(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An action of OpenAI's as one or several in Anthropic's words; what is none becomes none of those either, and
    `actions.steps` says so."""
    kind, at = action.get("type"), [action.get("x"), action.get("y")]
    held = {"text": _shortcut(action["keys"])} if kind != "keypress" and action.get("keys") else {}
    if kind == "click" and str(action.get("button")) in SIDES:
        return [{"action": "mouse_move", "coordinate": at}, {"action": "key", "text": SIDES[action["button"]]}]
    if kind == "click":
        button = str(action.get("button", "left"))
        return [{"action": BUTTONS.get(button, f"click of button {button!r}"), "coordinate": at, **held}]
    if kind == "double_click":
        return [{"action": "double_click", "coordinate": at, **held}]
    if kind == "move":
        return [{"action": "mouse_move", "coordinate": at}]
    if kind == "drag":
        return _drag(action.get("path"))
    if kind == "scroll":
        return _scrolls(action, at, held)
    if kind == "type":
        return [{"action": "type", "text": action.get("text")}]
    if kind == "keypress":
        return [{"action": "key", "text": _shortcut(action.get("keys"))}]
    return [{"action": kind, "duration": WAIT}]


def _shortcut(keys: Any) -> str | None:
    """Keys in OpenAI's list as one text; letters come as capitals there, and mean the key."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    return "+".join(key if len(key) > 1 else key.lower() for key in keys)


def _drag(path: Any) -> list[dict[str, Any]]:
    """A way with the left button down. Its points are {x, y} or [x, y]."""
    points = [[p.get("x"), p.get("y")] if isinstance(p, Mapping) else p for p in path or [None]]
    moves = [{"action": "mouse_move", "coordinate": point} for point in points]
    return [moves[0], {"action": "left_mouse_down"}, *moves[1:], {"action": "left_mouse_up"}]


def _scrolls(action: Mapping[str, Any], at: list[Any], held: dict[str, Any]) -> list[dict[str, Any]]:
    """Pixels as notches, one at least where there are any; what is no number is left for `actions.steps` to refuse."""
    made = []
    for name, less, more in (("scroll_y", "up", "down"), ("scroll_x", "left", "right")):
        pixels = action.get(name, 0)
        if not (type(pixels) in (int, float) and math.isfinite(pixels)):
            way, amount = more, pixels
        elif pixels:
            way, amount = less if pixels < 0 else more, max(1, round(abs(pixels) / NOTCH))
        else:
            continue
        made.append({"action": "scroll", "coordinate": at, "scroll_direction": way, "scroll_amount": amount, **held})
    return made
