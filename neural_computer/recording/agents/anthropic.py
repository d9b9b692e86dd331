"""Anthropic's computer tool (computer_20250124, Messages API) as an `Agent`."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_computer import media
from neural_computer.recording.agents.policy import Observation
from neural_computer.recording.agents.transport import HttpTransport, Transport, TransportError

HTTP = HttpTransport(
    "ANTHROPIC",
    "https://api.anthropic.com",
    "/v1/messages",
    {"x-api-key": "{key}", "anthropic-version": "2023-06-01", "anthropic-beta": "computer-use-2025-01-24"},
)
MAX_TOKENS = 4096
"""Tokens of a response, at most."""
PICTURES = 3
"""How many of the newest pictures a request contains."""
OMITTED = {"type": "text", "text": "(a picture that is not shown any more)"}


@dataclass
class Anthropic:
    """A model with an instruction; `send` takes its requests, by default to the vendor with your key."""

    instruction: str
    model: str
    send: Transport = HTTP
    _messages: list[dict[str, Any]] = field(default_factory=list)

    def act(self, observation: Observation) -> Sequence[Mapping[str, Any]]:
        """The next actions; none when it is done. Raises TransportError, also for a response that was cut or refused."""
        height, width, _ = observation.picture.shape
        self._messages.append({"role": "user", "content": self._content(observation)})
        _omit_old_pictures(self._messages)
        tool = {"type": "computer_20250124", "name": "computer", "display_width_px": width, "display_height_px": height}
        response = self.send(
            {"model": self.model, "max_tokens": MAX_TOKENS, "tools": [tool], "messages": self._messages},
        )
        if response.get("stop_reason") not in ("tool_use", "end_turn"):
            reason = response.get("stop_reason")
            raise TransportError(f"{self.model}: ended with {reason!r}; must be with tool_use or end_turn")
        self._messages.append({"role": "assistant", "content": response["content"]})
        return [block["input"] for block in response["content"] if block["type"] == "tool_use"]

    def _content(self, observation: Observation) -> list[dict[str, Any]]:
        """The instruction, or the results of the last actions; with the picture."""
        source = {
            "type": "base64",
            "media_type": "image/png",
            "data": base64.b64encode(media.png(observation.picture)).decode(),
        }
        picture = {"type": "image", "source": source}
        if not self._messages:
            return [{"type": "text", "text": self.instruction}, picture]
        tool_uses = [block for block in self._messages[-1]["content"] if block["type"] == "tool_use"]
        results = [self._result(block, observation) for block in tool_uses]
        results[-1]["content"].append(picture)
        return results

    @staticmethod
    def _result(tool_use: Mapping[str, Any], observation: Observation) -> dict[str, Any]:
        text = observation.error or "done"
        if tool_use["input"].get("action") == "cursor_position":
            text = f"X={observation.pointer[0]},Y={observation.pointer[1]}"
        result = {"type": "tool_result", "tool_use_id": tool_use["id"], "content": [{"type": "text", "text": text}]}
        return result | ({"is_error": True} if observation.error else {})


def _omit_old_pictures(messages: list[dict[str, Any]]) -> None:
    """Replaces all but the newest PICTURES pictures by a text."""
    for message in [message for message in messages if message["role"] == "user"][:-PICTURES]:
        last = message["content"][-1]
        blocks = last["content"] if last["type"] == "tool_result" else message["content"]
        blocks[:] = [OMITTED if block["type"] == "image" else block for block in blocks]
