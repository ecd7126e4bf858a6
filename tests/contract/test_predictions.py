"""What every `PredictionLog` does, in every mode: before its writers have closed, after, and compacted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from tests.predicted import NAMES, numbers, predicted, prediction

from backstay.core.errors import BackstayError, InputError
from backstay.storage.ports import Compacted, PredictionLog
from backstay.storage.predictions import Prediction, encode

Reopen = Callable[[], PredictionLog]


def _silent(_done: int, _total: int) -> None:
    """No progress is shown."""


def eventually(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(params=["written", "closed", "compacted"])
def stored(request: pytest.FixtureRequest, predictions: PredictionLog, reopen: Reopen) -> Any:
    """`stored(appends)`: a log that holds these, in one of the states a log goes through."""

    def _stored(*appends: list[Prediction]) -> PredictionLog:
        for one in appends:
            predictions.append(one)
        if request.param == "written":
            eventually(lambda: len(list(predictions.scan())) == sum(map(len, appends)))  # lossy writes a little later
            return predictions
        predictions.close()
        log = reopen()
        if request.param == "compacted":
            log.compact(NAMES, _silent)
        return log

    return _stored


def test_empty(predictions: PredictionLog) -> None:
    assert list(predictions.scan()) == []
    predictions.append([])
    assert predictions.submit([]) is None
    assert predictions.compact(NAMES, _silent) == Compacted(0, 0)
    assert list(predictions.scan()) == list(predictions.scan(last=3)) == []
    assert predictions.lost() == predictions.dropped == 0


def test_every_prediction_in_order_bit_for_bit(stored: Any) -> None:
    odd = prediction(
        4, values=[math.nan, -0.0, 5e-324, 2**63, -(2**63), True, [1, "a"], "é\0"], statuses=bytes(range(4)) * 2,
        keys={"a b": 'quo"te', "": None}, fields={"t": 1.0, "i": 1}, score=math.nextafter(0.1, 1), replayed=True,
    )  # fmt: skip
    given = [*predicted(3, 1, 2), odd]
    log = stored(given[:2], given[2:])
    assert [encode(one) for one in log.scan()] == [encode(one) for one in given]
    assert [type(value) for value in list(log.scan())[-1].fields.values()] == [float, int]


def test_what_is_wanted(stored: Any) -> None:
    log = stored(predicted(*range(20)), predicted(*range(20, 40), model="other"), predicted(*range(40, 60)))
    assert numbers(log.scan(model="other")) == list(range(20, 40))
    assert numbers(log.scan(model="none")) == []
    assert numbers(log.scan(since=57)) == [57, 58, 59]
    assert numbers(log.scan(until=2)) == [0, 1]
    assert numbers(log.scan(since=38, until=42, model="m")) == [40, 41]
    assert numbers(log.scan(ids=[prediction(41).id, prediction(3).id, "none"])) == [3, 41]
    assert numbers(log.scan(ids=[])) == []
    assert numbers(log.scan(ids=[prediction(41).id], model="other")) == []


def test_those_that_were_served_last(stored: Any) -> None:
    log = stored(
        [prediction(n, served_at=n % 10) for n in range(40)],
        [prediction(n, served_at=n % 10, model="other") for n in range(40, 50)],
    )
    assert numbers(log.scan(last=3)) == [49, 39, 29]
    assert numbers(log.scan(last=6)) == [49, 39, 29, 19, 9, 48]
    assert numbers(log.scan(last=2, model="m")) == [39, 29]
    assert numbers(log.scan(last=2, until=10)) == [9, 8]
    assert len(numbers(log.scan(last=1000))) == 50
    assert numbers(log.scan(last=0)) == []


def test_a_compacted_log_goes_on(predictions: PredictionLog, reopen: Reopen) -> None:
    log = predictions
    for begin in range(0, 30, 10):
        log.append(predicted(*range(begin, begin + 10)))
        log.close()
        log = reopen()
        log.compact(NAMES, _silent)
        assert log.compact(NAMES, _silent) == Compacted(0, 0)
        assert numbers(log.scan()) == list(range(begin + 10))
    assert numbers(log.scan(last=2)) == [29, 28]
    assert numbers(log.scan(since=9, until=12)) == [9, 10, 11]


def test_threads_lose_nothing_and_keep_appends_whole(predictions: PredictionLog, reopen: Reopen) -> None:
    appends = [predicted(*range(5 * n, 5 * n + 5)) for n in range(200)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(predictions.append, appends))
    predictions.close()
    found = numbers(reopen().scan())
    assert sorted(found[at : at + 5] for at in range(0, 1000, 5)) == [numbers(one) for one in appends]


def test_what_is_submitted_is_acknowledged(predictions: PredictionLog, reopen: Reopen) -> None:
    pending = [predictions.submit(predicted(n)) for n in range(50)]
    for one in pending:
        assert one is None or one.result(10) is None
    predictions.close()
    assert numbers(reopen().scan()) == list(range(50))


def test_only_what_can_be_written(predictions: PredictionLog) -> None:
    with pytest.raises(InputError, match="written down"):
        predictions.append([prediction(1), msgspec.structs.replace(prediction(2), keys={"a": object()})])
    assert list(predictions.scan()) == []


def test_closed(predictions: PredictionLog) -> None:
    predictions.append(predicted(1))
    predictions.close()
    predictions.close()
    with pytest.raises(BackstayError, match="closed"):
        predictions.append(predicted(2))
    assert numbers(predictions.scan()) == [1]
