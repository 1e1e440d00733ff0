"""One person makes so many decisions a minute, singly or at once."""

import pytest

from kern.client.web.problems import ProblemError
from kern.client.web.rates import DecisionRate
from kern.values.principals import Principal

DANA = Principal(issuer="test", subject="dana", name="dana")
RAVI = Principal(issuer="test", subject="ravi", name="ravi")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refusal(rate: DecisionRate, times: int = 1) -> str:
    with pytest.raises(ProblemError) as refused:
        rate.count(DANA, times)
    assert refused.value.status == 429
    return refused.value.headers["Retry-After"]


def test_more_than_sixty_a_minute_are_refused_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    rate = DecisionRate(clock)
    for _ in range(60):
        rate.count(DANA)
    clock.now = 20.0
    assert refusal(rate) == "41"
    rate.count(RAVI)
    clock.now = 60.0
    rate.count(DANA)


def test_a_batch_counts_as_a_whole_or_not_at_all() -> None:
    clock = Clock()
    rate = DecisionRate(clock)
    rate.count(DANA, 25)
    clock.now = 10.0
    rate.count(DANA, 25)
    clock.now = 30.0
    # Fifteen of the first have to be forgotten, and all of them are at once.
    assert refusal(rate, 25) == "31"
    rate.count(DANA, 10)
    clock.now = 60.0
    rate.count(DANA, 25)
    assert refusal(rate, 25) == "11"
