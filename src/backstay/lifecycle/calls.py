"""Which predictions were scored by one call: what `took` is about, whoever their cohorts were."""

from __future__ import annotations

from backstay.storage.predictions import Prediction

FALLBACK = "fallback"
"""The route of a row that the champion answered because the candidate failed: it is one of the candidate's cohort."""


def call_of(one: Prediction) -> tuple[int, str, int, bool]:
    """The call that scored a prediction: what all its rows have in common, and other calls do not.

    Rows that a champion scores for a share that failed are a call of their own.
    """
    return one.served_at, one.version, one.took, one.route == FALLBACK
