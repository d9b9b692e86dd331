"""Agents of either vendor at both desktops, replayed: requests and responses are those of the fixtures, pictures apart."""

from pathlib import Path

import numpy as np
import pytest

from neural_computer.recording.agents import anthropic, openai
from neural_computer.recording.agents.policy import Agent, AgentPolicy, enlargement
from neural_computer.recording.agents.transport import ReplayTransport, TransportError
from neural_computer.recording.xfce.desktop import XfceDesktop
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished

FIXTURES = Path(__file__).parent / "fixtures"
TASK = "Compute 7 + 5 in the calculator."
VENDORS = {
    "anthropic": (anthropic.Anthropic, "claude-sonnet-4-5"),
    "openai": (openai.OpenAI, "computer-use-preview"),
}


def agent(vendor: str, transport) -> Agent:
    kind, model = VENDORS[vendor]
    return kind(TASK, model, transport)


def finishes(desktop, vendor: str, where: str):
    """An agent's session; True where the desktop then shows what was wanted."""
    policy = AgentPolicy(desktop, agent(vendor, ReplayTransport(FIXTURES / f"{vendor}_{where}.jsonl")))
    record(desktop, policy, watch=False)
    assert policy.success, policy.reason
    return [t.text for t in desktop.targets() if (t.app, t.role) == ("Calc", "field")] == ["12"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_replayed_agent_finishes_its_task_on_the_synthetic_desktop(vendor):
    assert finishes(MiniDesktop(furnished(0, 128, most=0)), vendor, "minidesk")


@pytest.mark.rig
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_replayed_agent_finishes_its_task_on_the_real_desktop(vendor):
    with XfceDesktop() as desktop:
        assert finishes(desktop, vendor, "rig")


@pytest.mark.parametrize("vendor", VENDORS)
def test_another_request_than_the_recorded_one_is_named_by_its_place(vendor):
    desktop = MiniDesktop(furnished(0, 256, most=0))
    policy = AgentPolicy(desktop, agent(vendor, ReplayTransport(FIXTURES / f"{vendor}_minidesk.jsonl")))
    record(desktop, policy, watch=False)
    assert not policy.success
    assert policy.reason.startswith(f"{vendor}_minidesk.jsonl:1: has another request: request.tools[0].display_")


def message(*content, stop="tool_use"):
    return {"content": list(content), "stop_reason": stop}


def use(**action):
    return {"type": "tool_use", "id": "toolu_1", "name": "computer", "input": action}


def call(action, **more):
    item = {"type": "computer_call", "call_id": "call_1", "action": action, "pending_safety_checks": [], **more}
    return {"id": "resp_1", "status": "completed", "output": [item]}


@pytest.mark.parametrize(
    ("vendor", "response", "words"),
    [
        ("anthropic", message(stop="end_turn"), "wants nothing and did nothing"),
        ("anthropic", {"stop_reason": "end_turn"}, "has another form than its vendor's (KeyError('content'))"),
        ("openai", {"id": "r", "status": "completed", "output": [1]}, "has another form than its vendor's (TypeError"),
        ("anthropic", message(stop="refusal"), "ended with 'refusal'"),
        ("anthropic", message(use(action="screenshot"), stop="max_tokens"), "ended with 'max_tokens'"),
        ("openai", {"id": "r", "status": "incomplete", "output": [], "incomplete_details": "x"}, "'incomplete': x"),
        ("openai", call({"type": "wait"}, pending_safety_checks=[{"code": "c"}]), "wants a person's consent"),
    ],
)
def test_a_response_that_is_cut_refused_or_wants_consent_ends_the_session(vendor, response, words):
    desktop = MiniDesktop(furnished(0, 64, most=0))
    policy = AgentPolicy(desktop, agent(vendor, lambda request: response))
    assert list(policy) == [] and not policy.success and words in policy.reason


@pytest.mark.parametrize(
    ("vendor", "response"), [("anthropic", message(use(action="screenshot"))), ("openai", call({"type": "screenshot"}))]
)
def test_an_agent_that_never_ends_is_stopped(vendor, response):
    desktop = MiniDesktop(furnished(0, 64, most=0))
    policy = AgentPolicy(desktop, agent(vendor, lambda request: response), max_turns=3, pause=2)
    assert list(policy) == [[]] * 6 and policy.reason == "not done after 3 turns"
    policy = AgentPolicy(desktop, agent(vendor, lambda request: response), max_frames=5)
    assert len(list(policy)) == 5 and policy.reason == "not done after 5 frames"


def test_several_calls_of_one_response_are_done_in_order_and_actions_may_come_in_a_list():
    requests = []

    def respond(request):
        requests.append(request)
        if len(requests) > 1:
            return {"id": "resp_2", "status": "completed", "output": []}
        many = call({"type": "move", "x": 5, "y": 5})
        second = {"type": "computer_call", "call_id": "call_2", "actions": [{"type": "move", "x": 9, "y": 9}]}
        return many | {"output": [*many["output"], second]}

    desktop = MiniDesktop(furnished(0, 64, most=0))
    factor = enlargement(desktop.size)
    session = record(desktop, AgentPolicy(desktop, agent("openai", respond), pause=0), watch=False)
    assert np.allclose(session.cursor[1:], [(5 / factor, 5 / factor), (9 / factor, 9 / factor)], atol=1 / 64)
    assert [item["call_id"] for item in requests[1]["input"]] == ["call_1", "call_2"]
    assert requests[1]["previous_response_id"] == "resp_1"


def test_without_a_key_nothing_is_sent(monkeypatch):
    for vendor, (kind, model) in VENDORS.items():
        monkeypatch.delenv(f"{vendor.upper()}_API_KEY", raising=False)
        desktop = MiniDesktop(furnished(0, 64, most=0))
        policy = AgentPolicy(desktop, kind(TASK, model))
        assert list(policy) == [] and f"{vendor.upper()}_API_KEY is not set" in policy.reason


def test_a_file_that_ends_or_is_malformed_is_named(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text("[]\n")
    transport = ReplayTransport(path)
    with pytest.raises(TransportError, match="talk.jsonl:1: is no exchange"):
        transport({})
    with pytest.raises(TransportError, match="talk.jsonl: has no more exchanges"):
        transport({})
