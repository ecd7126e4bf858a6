"""The bars of a canary's harm test, in 2,000 simulations of 100 looks each; `-s` prints the table."""

from __future__ import annotations

from tests.evaluation.sequential.simulated import ALPHA, MOST, harmful, harmless, leaning, table


def test_no_harm_is_called_harm_at_most_as_often_as_said_over_all_looks() -> None:
    """At the edge of what is allowed too, and whatever the rates and the shares do; a peeked z-test does not manage."""
    rows = harmless()
    print(table(rows))  # noqa: T201
    assert [row.case for row in rows if row.ours > MOST] == []
    assert all(row.peeked > 5 * ALPHA for row in rows if row.peeked is not None)


def test_harm_is_found_within_the_requests_of_the_bars() -> None:
    rows = harmful()
    print(table(rows))  # noqa: T201
    small, least, rare, ramp = rows
    assert small.ours >= 0.95
    assert small.median <= 2_000
    assert least.ours >= 0.85
    assert rare.ours >= 0.90
    assert ramp.ours >= 0.90
    assert all(row.ours <= (row.fixed or 0.0) for row in rows)  # no test that may stop earlier finds more


def test_requests_of_one_entity_lean_on_each_other_and_have_to_count_once() -> None:
    """What the test can't know, and the page says."""
    rows = leaning()
    print(table(rows))  # noqa: T201
    requests, entities = rows
    assert requests.ours > 5 * ALPHA
    assert entities.ours <= MOST
