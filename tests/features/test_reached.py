"""A state that has less than it had is not asked any more: by whoever asks, also who never did before."""

from __future__ import annotations

import pytest

from backstay.definitions import Count, Entity, EventSource, FeatureSet, Latest, Windowed
from backstay.features.answers import Answers
from backstay.features.lookup import Asked, Reached, Unavailable
from backstay.features.online import OnlineWriter
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline
from tests.features.test_online import T, events

SOURCE = EventSource("seen", schema={"who": "string", "x": "float"})
WHO = Entity("who")
SETS = {
    "windows": FeatureSet("windows", [Windowed(SOURCE, by=WHO, over="1d", n=Count())]),
    "latest": FeatureSet("latest", [Latest(SOURCE, by=WHO, x="x")]),
}


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("asked_before", [True, False])
def test_a_lost_state_is_not_answered_from(name: str, asked_before: bool) -> None:
    record, state, features = MemoryEvents(), MemoryOnline(), SETS[name]
    record.append("seen", events(who=["a", "a", "b"], x=[1.0, 2.0, 3.0]))
    writer = OnlineWriter(state, SETS.values())
    writer.apply(SOURCE, record.read("seen"))
    reached = Reached(writer.reached())
    asked = [Asked({"who": "a"}, {}, T)]
    answers = Answers(features, state, reached)
    if asked_before:
        assert list(answers.rows(asked)[0].values.values()) == [2]
    state.clear()
    for one in (answers, Answers(features, state, reached)):
        with pytest.raises(
            Unavailable, match=r"lost events of source 'seen': it had seen 3 of them, and now 0.*backfill"
        ):
            one.rows(asked)
    assert next(iter(Answers(features, state).rows(asked)[0].statuses.values())) == "MISSING", "who knows of no more"
    writer.apply(SOURCE, record.read("seen").head(2))
    with pytest.raises(Unavailable, match="and now 2"):
        answers.rows(asked)
    writer.apply(SOURCE, record.read("seen"))
    assert list(answers.rows(asked)[0].values.values()) == [2]
