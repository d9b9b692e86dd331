"""Agents of either vendor at both desktops, replayed: requests and answers are those of the fixtures, pictures apart."""

from pathlib import Path

import numpy as np
import pytest

from neural_computer.recording.agents import anthropic, openai
from neural_computer.recording.agents.acting import Acting, Agent, factor
from neural_computer.recording.agents.transport import Replayed, WireError
from neural_computer.recording.xfce.desktop import Rig
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished

FIXTURES = Path(__file__).parent / "fixtures"
TASK = "Compute 7 + 5 in the calculator."
VENDORS = {
    "anthropic": (anthropic.Anthropic, "claude-sonnet-4-5"),
    "openai": (openai.OpenAI, "computer-use-preview"),
}


def agent(vendor: str, ask) -> Agent:
    kind, model = VENDORS[vendor]
    return kind(TASK, model, ask)


def finished(desktop, vendor: str, where: str):
    """An agent's session; True where the desktop then shows what was wanted."""
    acting = Acting(desktop, agent(vendor, Replayed(FIXTURES / f"{vendor}_{where}.jsonl")))
    record(desktop, acting, watch=False)
    assert acting.done, acting.reason
    return [t.text for t in desktop.targets() if (t.app, t.role) == ("Calc", "field")] == ["12"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_replayed_agent_finishes_its_task_on_the_synthetic_desktop(vendor):
    assert finished(MiniDesktop(furnished(0, 128, most=0)), vendor, "minidesk")


@pytest.mark.rig
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_replayed_agent_finishes_its_task_on_the_real_desktop(vendor):
    with Rig() as rig:
        assert finished(rig, vendor, "rig")


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_asked_otherwise_than_it_was_is_told_with_its_place(vendor):
    desktop = MiniDesktop(furnished(0, 256, most=0))
    acting = Acting(desktop, agent(vendor, Replayed(FIXTURES / f"{vendor}_minidesk.jsonl")))
    record(desktop, acting, watch=False)
    assert not acting.done
    assert acting.reason.startswith(
        f"{vendor}_minidesk.jsonl:1: another request was written down: request.tools[0].display_"
    )


def message(*content, stop="tool_use"):
    return {"content": list(content), "stop_reason": stop}


def use(**action):
    return {"type": "tool_use", "id": "toolu_1", "name": "computer", "input": action}


def call(action, **more):
    item = {"type": "computer_call", "call_id": "call_1", "action": action, "pending_safety_checks": [], **more}
    return {"id": "resp_1", "status": "completed", "output": [item]}


@pytest.mark.parametrize(
    ("vendor", "answer", "words"),
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
def test_an_answer_that_is_cut_refused_or_wants_consent_ends_the_session(vendor, answer, words):
    desktop = MiniDesktop(furnished(0, 64, most=0))
    acting = Acting(desktop, agent(vendor, lambda request: answer))
    assert list(acting) == [] and not acting.done and words in acting.reason


@pytest.mark.parametrize(
    ("vendor", "answer"), [("anthropic", message(use(action="screenshot"))), ("openai", call({"type": "screenshot"}))]
)
def test_an_agent_that_never_ends_is_given_up(vendor, answer):
    desktop = MiniDesktop(furnished(0, 64, most=0))
    acting = Acting(desktop, agent(vendor, lambda request: answer), turns=3, pause=2)
    assert list(acting) == [[]] * 6 and acting.reason == "not done after 3 turns"
    acting = Acting(desktop, agent(vendor, lambda request: answer), most=5)
    assert len(list(acting)) == 5 and acting.reason == "not done after 5 frames"


def test_several_calls_of_one_answer_are_done_in_order_and_actions_may_come_in_a_list():
    seen = []

    def ask(request):
        seen.append(request)
        if len(seen) > 1:
            return {"id": "resp_2", "status": "completed", "output": []}
        many = call({"type": "move", "x": 5, "y": 5})
        second = {"type": "computer_call", "call_id": "call_2", "actions": [{"type": "move", "x": 9, "y": 9}]}
        return many | {"output": [*many["output"], second]}

    desktop = MiniDesktop(furnished(0, 64, most=0))
    times = factor(desktop.size)
    made = record(desktop, Acting(desktop, agent("openai", ask), pause=0), watch=False)
    assert np.allclose(made.cursor[1:], [(5 / times, 5 / times), (9 / times, 9 / times)], atol=1 / 64)
    assert [item["call_id"] for item in seen[1]["input"]] == ["call_1", "call_2"]
    assert seen[1]["previous_response_id"] == "resp_1"


def test_no_key_no_question(monkeypatch):
    for vendor, (kind, model) in VENDORS.items():
        monkeypatch.delenv(f"{vendor.upper()}_API_KEY", raising=False)
        desktop = MiniDesktop(furnished(0, 64, most=0))
        acting = Acting(desktop, kind(TASK, model))
        assert list(acting) == [] and f"{vendor.upper()}_API_KEY is not set" in acting.reason


def test_a_file_that_ends_or_is_none_is_told(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text("[]\n")
    replayed = Replayed(path)
    with pytest.raises(WireError, match="talk.jsonl:1: is no exchange"):
        replayed({})
    with pytest.raises(WireError, match="talk.jsonl: has no more exchanges"):
        replayed({})
