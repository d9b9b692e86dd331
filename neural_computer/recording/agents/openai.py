"""OpenAI's computer tool (computer_use_preview, Responses API) as an `Agent`, and its actions in Anthropic's names."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_computer import media
from neural_computer.recording.agents.policy import Observation
from neural_computer.recording.agents.transport import HttpTransport, Transport, TransportError

HTTP = HttpTransport("OPENAI", "https://api.openai.com/v1", "/responses", {"authorization": "Bearer {key}"})
BUTTONS = {"left": "left_click", "right": "right_click", "wheel": "middle_click"}
SIDE_BUTTONS = {"back": "alt+Left", "forward": "alt+Right"}
"""Buttons that a mouse of three lacks -> the shortcut that does the same in a browser."""
NOTCH = 100
"""Pixels of a notch of the wheel."""
WAIT = 2.0
"""Seconds of a wait: the action has no duration."""


@dataclass
class OpenAI:
    """A model with an instruction; `send` takes its requests, by default to the vendor with your key."""

    instruction: str
    model: str
    send: Transport = HTTP
    _response: Mapping[str, Any] = field(default_factory=dict)

    def act(self, observation: Observation) -> Sequence[Mapping[str, Any]]:
        """The next actions; none when it is done.

        Raises TransportError, also for a response that was cut or needs a person's consent.
        """
        height, width, _ = observation.picture.shape
        tool = {
            "type": "computer_use_preview",
            "display_width": width,
            "display_height": height,
            "environment": "linux",
        }
        request = {"model": self.model, "tools": [tool], "truncation": "auto", "input": self._input(observation)}
        if self._response:
            request["previous_response_id"] = self._response["id"]
        self._response = self.send(request)
        if self._response.get("status") != "completed":
            reason = self._response.get("error") or self._response.get("incomplete_details")
            raise TransportError(f"{self.model}: its response is {self._response.get('status')!r}: {reason}")
        calls = _calls(self._response)
        for call in calls:
            if checks := call.get("pending_safety_checks"):
                raise TransportError(f"{self.model}: wants a person's consent, and none is here: {checks}")
        actions = [action for call in calls for action in call.get("actions") or [call["action"]]]
        return [translated for action in actions for translated in translate(action)]

    def _input(self, observation: Observation) -> list[dict[str, Any]]:
        """The instruction, or the results of the last actions; with the picture."""
        url = "data:image/png;base64," + base64.b64encode(media.png(observation.picture)).decode()
        if not self._response:
            content = [{"type": "input_text", "text": self.instruction}, {"type": "input_image", "image_url": url}]
            return [{"role": "user", "content": content}]
        output = {"type": "computer_screenshot", "image_url": url}
        items: list[dict[str, Any]] = [
            {"type": "computer_call_output", "call_id": call["call_id"], "output": output}
            for call in _calls(self._response)
        ]
        if observation.error:
            items.append({"role": "user", "content": [{"type": "input_text", "text": observation.error}]})
        return items


def _calls(response: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in response["output"] if item["type"] == "computer_call"]


def translate(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An action of OpenAI's as one or several in Anthropic's names. `actions.steps` rejects what is none of OpenAI's."""
    kind, at = action.get("type"), [action.get("x"), action.get("y")]
    modifiers = {"text": _shortcut(action["keys"])} if kind != "keypress" and action.get("keys") else {}
    if kind == "click" and str(action.get("button")) in SIDE_BUTTONS:
        return [{"action": "mouse_move", "coordinate": at}, {"action": "key", "text": SIDE_BUTTONS[action["button"]]}]
    if kind == "click":
        button = str(action.get("button", "left"))
        return [{"action": BUTTONS.get(button, f"click of button {button!r}"), "coordinate": at, **modifiers}]
    if kind == "double_click":
        return [{"action": "double_click", "coordinate": at, **modifiers}]
    if kind == "move":
        return [{"action": "mouse_move", "coordinate": at}]
    if kind == "drag":
        return _drag(action.get("path"))
    if kind == "scroll":
        return _scrolls(action, at, modifiers)
    if kind == "type":
        return [{"action": "type", "text": action.get("text")}]
    if kind == "keypress":
        return [{"action": "key", "text": _shortcut(action.get("keys"))}]
    return [{"action": kind, "duration": WAIT}]


def _shortcut(keys: Any) -> str | None:
    """OpenAI's list of keys as one text; a capital letter there means the key."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    return "+".join(key if len(key) > 1 else key.lower() for key in keys)


def _drag(path: Any) -> list[dict[str, Any]]:
    """A path with the left button down. Its points are {x, y} or [x, y]."""
    points = [[p.get("x"), p.get("y")] if isinstance(p, Mapping) else p for p in path or [None]]
    moves = [{"action": "mouse_move", "coordinate": point} for point in points]
    return [moves[0], {"action": "left_mouse_down"}, *moves[1:], {"action": "left_mouse_up"}]


def _scrolls(action: Mapping[str, Any], at: list[Any], modifiers: dict[str, Any]) -> list[dict[str, Any]]:
    """A scroll by pixels as scrolls by notches, at least one where there are pixels.

    A value that is no number is passed on, for `actions.steps` to reject.
    """
    scrolls = []
    for name, less, more in (("scroll_y", "up", "down"), ("scroll_x", "left", "right")):
        pixels = action.get(name, 0)
        if not (type(pixels) in (int, float) and math.isfinite(pixels)):
            way, amount = more, pixels
        elif pixels:
            way, amount = less if pixels < 0 else more, max(1, round(abs(pixels) / NOTCH))
        else:
            continue
        scroll = {"action": "scroll", "coordinate": at, "scroll_direction": way, "scroll_amount": amount}
        scrolls.append(scroll | modifiers)
    return scrolls
