"""What every `PredictionLog` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.core.errors import BackstayError, InputError
from backstay.storage.ports import PredictionLog


def test_empty(predictions: PredictionLog) -> None:
    assert list(predictions.scan()) == []
    predictions.append([])
    assert list(predictions.scan()) == []


def test_every_payload_in_order(predictions: PredictionLog) -> None:
    payloads = [b"a", b"", b"\x00" * 9, bytes(range(256)) * 40]
    predictions.append(payloads[:3])
    predictions.append(payloads[3:])
    assert list(predictions.scan()) == payloads
    predictions.append([b"later"])
    assert list(predictions.scan()) == [*payloads, b"later"]


def test_threads_lose_nothing_and_keep_batches_whole(predictions: PredictionLog) -> None:
    batches = [[b"%d-%d" % (n, k) for k in range(5)] for n in range(200)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(predictions.append, batches))
    found = list(predictions.scan())
    assert sorted(found[at : at + 5] for at in range(0, 1000, 5)) == sorted(batches)


def test_only_bytes(predictions: PredictionLog) -> None:
    with pytest.raises(InputError):
        predictions.append([b"kept out too", "text"])  # type: ignore[list-item]
    assert list(predictions.scan()) == []


def test_closed(predictions: PredictionLog) -> None:
    predictions.append([b"a"])
    predictions.close()
    predictions.close()
    with pytest.raises(BackstayError, match="closed"):
        predictions.append([b"b"])
    assert list(predictions.scan()) == [b"a"]
