"""Arithmetic problems: what Python prints, and that no operand pair is in two splits."""

from collections import Counter

import pytest

from neural_computer.recording import problems as arithmetic
from neural_computer.recording.problems import Problem


@pytest.mark.parametrize(
    ("problem", "answer"),
    [
        (("add", 7, 5), "12"),
        (("subtract", 100, 1), "99"),
        (("multiply", 999, 999), "998001"),
        (("divide", 84, 7), "12.0"),
        (("modulo", 17, 5), "2"),
    ],
)
def test_answers(problem, answer):
    problem = arithmetic.Problem(*problem)
    assert problem.answer == answer == repr(eval(problem.expression))


def test_pools_share_no_operand_pair_and_have_every_kind():
    train, test = arithmetic.problems(4000), arithmetic.problems(1000, "test")
    assert len(set(train)) == 4000 and len(set(test)) == 1000
    assert not {p.pair for p in train} & {p.pair for p in test}
    for pool in (train, test):
        assert all(repr(eval(p.expression)) == p.answer for p in pool)
        kinds = Counter(p.kind for p in pool)
        assert set(kinds) == set(arithmetic.SIGNS) and min(kinds.values()) > 0.1 * len(pool)
        assert {len(str(max(p.a, p.b))) for p in pool} == {1, 2, 3}
    assert arithmetic.problems(50, seed=1) == arithmetic.problems(50, seed=1) != arithmetic.problems(50, seed=2)


def test_more_problems_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr(arithmetic, "DIGITS", (1,))
    with pytest.raises(ValueError, match="hardly more than"):
        arithmetic.problems(5000, "test")


def test_every_pair_is_there_once_and_both_orders_and_all_operations_are_in_one_split():
    every = arithmetic.grid(1, 49, ("add", "subtract", "multiply"))
    assert len(set(every)) == len(every) == 2 * 49**2 + 49 * 50 // 2
    splits = {name: {p.pair for p in every if p.split == name} for name in ("train", "test")}
    assert not splits["train"] & splits["test"]
    assert 0.08 < len(splits["test"]) / (49 * 50 // 2) < 0.12
    assert Problem("add", 3, 40).split == Problem("multiply", 40, 3).split


def test_a_sample_is_of_distinct_problems_within_its_operands():
    some = arithmetic.sample(300, 50, 99, ("add", "divide"))
    assert len(set(some)) == 300 == len(some) and {p.kind for p in some} == {"add", "divide"}
    assert all(50 <= min(p.a, p.b) <= max(p.a, p.b) <= 99 for p in some if p.kind == "add")
    assert all(p.a % p.b == 0 and repr(eval(p.expression)) == p.answer for p in some if p.kind == "divide")
    with pytest.raises(ValueError, match="hardly more than 16"):
        arithmetic.sample(17, 1, 4)


def test_permuted_answers_are_those_of_other_pairs_alike_in_both_orders():
    every = arithmetic.grid(0, 30, ("add", "subtract"))
    answers = arithmetic.permuted(every)
    assert set(answers) == set(every) and answers == arithmetic.permuted(every) != arithmetic.permuted(every, seed=1)
    for kind in ("add", "subtract"):
        pairs = {p.pair: (p.answer, answers[p]) for p in every if p.kind == kind}
        right, printed = zip(*pairs.values(), strict=True)
        assert Counter(right) == Counter(printed) and sum(x == y for x, y in pairs.values()) < 0.1 * len(pairs)
    assert all(answers[p] == answers[Problem("add", p.b, p.a)] for p in every if p.kind == "add")
