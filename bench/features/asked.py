"""What is asked online, and pushed: the same for every side, from seeds."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime
from typing import Any

from bench.features.sizes import ENTITIES, SPAN, START, ZIPF

BATCH = 100


def entities(many: int, calls: int, *, frequent: bool = False) -> list[list[int]]:
    """For each call the entities it asks about, all different; the frequent ones more often, if so asked."""
    draw = random.Random(many)
    if frequent:
        return [list(dict.fromkeys(draw.choices(range(ENTITIES), ZIPF, k=3 * many)))[:many] for _ in range(calls)]
    return [draw.sample(range(ENTITIES), many) for _ in range(calls)]


def newest() -> int:
    """A moment when everything has become known."""
    return START + SPAN + SPAN // 90


def batches(*, encoded: bool, many: int = 200) -> list[Any]:
    """Batches of events that happened just now: lists of mappings, or the body of a request."""
    draw, out = random.Random(7), []
    base = time.time() - 60
    for number in range(many):
        moments = [base + number / many + place / 1e5 for place in range(BATCH)]
        events = [
            {
                "event_time": datetime.fromtimestamp(moment, UTC),
                "entity": draw.randrange(ENTITIES),
                "x": round(draw.gauss(50, 10), 2),
                "kind": draw.choice(["card", "cash", "transfer"]),
            }
            for moment in moments
        ]
        if encoded:
            texts = [{**event, "event_time": event["event_time"].isoformat()} for event in events]
            out.append(json.dumps({"events": texts}).encode())
        else:
            out.append(events)
    return out
