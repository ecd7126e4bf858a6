"""Rollouts as they are declared: what makes no sense is refused where it is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backstay.core.errors import BackstayError
from backstay.definitions import Breakers, Canary, Guard, Rollout, Shadow


def test_the_ramp_is_what_teams_use_and_ends_with_everybody() -> None:
    rollout = Rollout()
    assert rollout.canary is not None
    assert rollout.canary.steps == (0.01, 0.05, 0.25, 1.0)
    assert Canary(steps=[0.5, 1], guards=[Guard("brier")]).guards == (Guard("brier"),)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Canary(steps=(0.05, 0.01, 1)), "rising shares that end with 1"),
        (lambda: Canary(steps=(0.05, 0.25)), "rising shares that end with 1"),
        (lambda: Canary(steps=()), "rising shares that end with 1"),
        (lambda: Canary(steps=(0.0, 1.0)), "rising shares that end with 1"),
        (lambda: Canary(least="7d", at_most="1d"), "a step that may last longer than it must"),
        (lambda: Canary(at_most="soon"), "Canary.at_most"),
        (lambda: Canary(requests=0), "at least 1 an arm"),
        (lambda: Canary(guards=["errors"]), "guards, such as"),  # type: ignore[list-item]
        (lambda: Guard("clicks"), "one of errors, log_loss"),
        (lambda: Guard("errors", margin=-1), "a margin of 0 or more"),
        (lambda: Guard("errors", level=0.7), "a level as 0.01"),
        (lambda: Shadow(share=0), "a share above 0"),
        (lambda: Shadow(quality="best"), "one of better, not_worse, any"),
        (lambda: Shadow(at_most="-1d"), "Shadow.at_most"),
        (lambda: Breakers(failures=0), "at least 1 failure"),
        (lambda: Breakers(slowdown=1), "a slowdown above 1"),
        (lambda: Breakers(score_shift=0), "shares above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], object], said: str) -> None:
    with pytest.raises(BackstayError) as found:
        wrong()
    assert said in str(found.value)
