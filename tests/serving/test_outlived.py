"""What goes on for ever tells of a failure when it begins, when it is another, and when it is over."""

from __future__ import annotations

import asyncio

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.serving.outlived import Outlived


def test_each_failure_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    turns = Outlived("it could not be looked at")
    for error in (None, BackstayError("away"), BackstayError("away"), IntegrityError("cut"), KeyError("x"), None, None):
        with turns:
            if error is not None:
                raise error
    begin = "it could not be looked at: "
    assert caplog.messages == [f"{begin}away", f"{begin}cut", f"{begin}'x'", f"{begin}it is over"]
    assert [bool(one.exc_info) for one in caplog.records] == [False, False, True, False], "a defect has its trace"


def test_what_ends_a_task_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(asyncio.CancelledError), Outlived("it could not be looked at"):
        raise asyncio.CancelledError
    assert caplog.messages == []
