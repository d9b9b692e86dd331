"""Anthropic's computer tool (computer_20250124, Messages API) as an `Agent`."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neural_computer import media
from neural_computer.recording.agents.acting import Observation
from neural_computer.recording.agents.transport import Ask, Http, WireError

HTTP = Http(
    "ANTHROPIC",
    "https://api.anthropic.com",
    "/v1/messages",
    {"x-api-key": "{key}", "anthropic-version": "2023-06-01", "anthropic-beta": "computer-use-2025-01-24"},
)
TOKENS, KEPT = 4096, 3
"""Of an answer, at most; how many of the last pictures go along with a request"""
GONE = {"type": "text", "text": "(a picture that is not shown any more)"}


@dataclass
class Anthropic:
    """A model with an instruction; `ask` is how it is asked, by default with your key."""

    instruction: str
    model: str
    ask: Ask = HTTP
    _messages: list[dict[str, Any]] = field(default_factory=list)

    def act(self, seen: Observation) -> Sequence[Mapping[str, Any]]:
        """Raises WireError, for an answer that was cut or refused too."""
        height, width, _ = seen.picture.shape
        self._messages.append({"role": "user", "content": self._told(seen)})
        _forget(self._messages)
        tool = {"type": "computer_20250124", "name": "computer", "display_width_px": width, "display_height_px": height}
        answer = self.ask(
            {"model": self.model, "max_tokens": TOKENS, "tools": [tool], "messages": self._messages},
        )
        if answer.get("stop_reason") not in ("tool_use", "end_turn"):
            raise WireError(f"{self.model}: ended with {answer.get('stop_reason')!r}, not with an action or its end")
        self._messages.append({"role": "assistant", "content": answer["content"]})
        return [block["input"] for block in answer["content"] if block["type"] == "tool_use"]

    def _told(self, seen: Observation) -> list[dict[str, Any]]:
        """The instruction, or what came of the last actions, with the picture."""
        source = {
            "type": "base64",
            "media_type": "image/png",
            "data": base64.b64encode(media.png(seen.picture)).decode(),
        }
        picture = {"type": "image", "source": source}
        if not self._messages:
            return [{"type": "text", "text": self.instruction}, picture]
        used = [block for block in self._messages[-1]["content"] if block["type"] == "tool_use"]
        results = [self._result(block, seen) for block in used]
        results[-1]["content"].append(picture)
        return results

    @staticmethod
    def _result(used: Mapping[str, Any], seen: Observation) -> dict[str, Any]:
        text = seen.fault or "done"
        if used["input"].get("action") == "cursor_position":
            text = f"X={seen.pointer[0]},Y={seen.pointer[1]}"
        result = {"type": "tool_result", "tool_use_id": used["id"], "content": [{"type": "text", "text": text}]}
        return result | ({"is_error": True} if seen.fault else {})


def _forget(messages: list[dict[str, Any]]) -> None:
    """Takes all pictures but the last KEPT out of what was told."""
    for message in [message for message in messages if message["role"] == "user"][:-KEPT]:
        last = message["content"][-1]
        holder = last["content"] if last["type"] == "tool_result" else message["content"]
        holder[:] = [GONE if part["type"] == "image" else part for part in holder]
