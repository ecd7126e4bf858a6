"""The ways that versions come and go in a loop: one, or several that follow each other."""

from __future__ import annotations

import numpy as np

from backstay.definitions import Model
from backstay.registry.versions import ModelVersion
from bench.monitoring.why.loop import DAY, ONLINE, START, Loop, Served
from bench.monitoring.why.world import model

VERSIONS = 3


def single(loop: Loop) -> Served:
    """One version on a history that is labelled whole, served for two weeks. Mended: again on what came after."""
    plan, online = loop.plan, loop.online
    every = np.ones(loop.at.size, np.bool_)
    loop.label(every)
    chosen = model(plan)
    version = loop.train(chosen, online, 14)
    judged = loop.crown(chosen, version, online)
    until = online + ONLINE * DAY
    loop.sell(loop.serve(chosen, version, online, until))
    since, as_of = online, until + (plan.horizon + 1) * DAY
    if plan.delay is not None and "delay" not in plan.mended:
        as_of = until + int(plan.delay.seen * DAY)
    if plan.mended and (plan.shift or plan.turned):  # trained again on rows since the change
        begin = max(one.begin for one in (plan.shift, plan.turned) if one is not None)
        again = online + 28 * DAY
        loop.sell(loop.serve(chosen, version, until, again))
        window = int(28 - begin)
        late = _windowed(chosen, window)
        version = loop.train(late, again, 9)
        judged = loop.crown(late, version, again)
        since, until = again, again + ONLINE * DAY
        loop.sell(loop.serve(chosen, version, since, until))
        as_of = until + (plan.horizon + 1) * DAY
    loop.clock.advance(as_of)
    return Served(loop.records, chosen, version.number, since, until, as_of, judged, loop)


def _windowed(chosen: Model, days: int) -> Model:
    from backstay.definitions import RetrainPolicy

    chosen.retrain = RetrainPolicy(window=f"{days}d")
    return chosen


def policy(loop: Loop) -> Served:
    """A first version lets few through, and explores; its successor, trained and judged on those, lets many through."""
    plan, first = loop.plan, START + 20 * DAY
    one = plan.policy
    assert one is not None
    loop.label(loop.at < first)
    chosen = loop.strict(model(plan), first, 8, one.before)
    version = loop.train(chosen, first, 8)
    loop.crown(chosen, version, first)
    decided = loop.serve(chosen, version, first, loop.online, explore=one.explore)
    loop.label(decided)
    loop.sell(decided)
    chosen = loop.strict(model(plan), loop.online, 14, one.after)
    version = loop.train(chosen, loop.online, 14)
    judged = loop.crown(chosen, version, loop.online)
    until = loop.online + ONLINE * DAY
    decided = loop.serve(chosen, version, loop.online, until, explore=one.explore)
    loop.label(decided)
    loop.sell(decided)
    as_of = until + (plan.horizon + 1) * DAY
    loop.clock.advance(as_of)
    return Served(loop.records, chosen, version.number, loop.online, until, as_of, judged, loop)


def feedback(loop: Loop) -> Served:
    """Three versions, each trained on what the one before chose. The last one explores; mended, all do."""
    plan, begin = loop.plan, START + 12 * DAY
    one = plan.feedback
    assert one is not None
    loop.reach(begin)
    loop.label(loop.at < begin)
    for turn in range(VERSIONS):
        last = turn == VERSIONS - 1
        chosen = loop.strict(model(plan), begin, 8, one.chosen)
        version = loop.train(chosen, begin, 8)
        judged = loop.crown(chosen, version, begin)
        explore = one.explore if last or "feedback" in plan.mended else 0.0
        end = begin + 14 * DAY
        decided = np.zeros(loop.at.size, np.bool_)
        for day in range(begin, end, 2 * DAY):
            loop.reach(day + 2 * DAY)
            some = loop.serve(chosen, version, day, day + 2 * DAY, explore=explore)
            loop.reach(day + 2 * DAY, some)
            decided |= some
        loop.label(decided)
        loop.sell(decided)
        begin = end
    as_of = begin + (plan.horizon + 1) * DAY
    loop.clock.advance(as_of)
    return Served(loop.records, chosen, version.number, begin - 14 * DAY, begin, as_of, judged, loop)


def proxy(loop: Loop) -> Served:
    """Four versions, each better at the metric than the last; what they choose is what pays, or does not.

    Mended: the last two weeks are answered by the version that paid best.
    """
    plan, begin = loop.plan, START + 20 * DAY
    stops = [begin, begin + 8 * DAY, begin + 16 * DAY, begin + 20 * DAY, loop.online + ONLINE * DAY]
    loop.label(np.ones(loop.at.size, np.bool_))
    chosen, judged, made = model(plan), (0, 0, 0), []
    for turn, trees in enumerate((2, 5, 14, 60)):
        start = stops[turn]
        chosen = loop.strict(model(plan, trees), start, 12, 0.3)
        made.append(loop.train(chosen, start, 12))
        judged = loop.crown(chosen, made[-1], start)
        answers = _best(loop, chosen, made, start) if turn == 3 and "proxy" in plan.mended else made[-1]
        loop.sell(loop.serve(chosen, answers, start, stops[turn + 1]))
    as_of = stops[-1] + (plan.horizon + 1) * DAY
    loop.clock.advance(as_of)
    return Served(loop.records, chosen, made[-1].number, stops[-2], stops[-1], as_of, judged, loop)


def _best(loop: Loop, chosen: Model, made: list[ModelVersion], until: int) -> ModelVersion:
    """The version that paid best so far."""
    from bench.monitoring.why.measure import business

    names, mean, _ = business(Served(loop.records, chosen, 0, 0, until, until, (0, 0, 0), loop), until=until)
    best = names[int(np.argmax(mean))]
    return next(one for one in made if one.number == best)
