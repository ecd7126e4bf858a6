"""Windowed aggregates in DuckDB, in the two formulations that are fast at different window sizes.

An event counts for a label at T if T - w <= event_time < T and known_time <= T.

    buckets  time in buckets as long as the window: a label's window lies in two of them, so an equality join on
             (entity, bucket) finds all candidates, about twice as many as count; then a group by
    frames   window functions over events and labels together, RANGE over the entity's time; they can't see known
             times, so events that came late are joined by buckets, and the two parts are put together

A plain join on the entity with the three inequalities is left out: DuckDB joins by hash on the entity, and the most
frequent of the entities alone makes 2e10 pairs.
"""

from __future__ import annotations

import duckdb

from bench.clock import timed
from bench.features.sizes import DATA, SECOND, window

_VISITS = f"read_parquet('{DATA / 'visits.parquet'}')"
_EVENTS = "SELECT entity, epoch_us(event_time) AS t, epoch_us(known_time) AS known, x FROM {visits}"

_BUCKETS = """
CREATE TEMP TABLE result AS
WITH events AS ({events}),
asked AS (
    SELECT row, entity, moment, unnest([(moment - {w}) // {w}, moment // {w}]) AS bucket FROM labels
)
SELECT labels.row, coalesce(n, 0) AS count, coalesce(total, 0) AS sum, total / valued AS mean,
    least_x AS min, most_x AS max
FROM labels LEFT JOIN (
    SELECT row, count(*) AS n, count(x) AS valued, sum(x) AS total, min(x) AS least_x, max(x) AS most_x
    FROM asked JOIN events ON events.entity = asked.entity AND events.t // {w} = asked.bucket
    WHERE t >= moment - {w} AND t < moment AND known <= moment
    GROUP BY row
) AS found USING (row)
"""

_FRAMES = """
CREATE TEMP TABLE result AS
WITH events AS ({events}),
points AS (
    SELECT entity, t, x, 1 AS one, NULL AS row FROM events WHERE known <= t
    UNION ALL SELECT entity, moment, NULL, NULL, row FROM labels
),
early AS (
    SELECT row, count(one) OVER span AS n, count(x) OVER span AS valued, sum(x) OVER span AS total,
        min(x) OVER span AS least_x, max(x) OVER span AS most_x
    FROM points
    WINDOW span AS (PARTITION BY entity ORDER BY t RANGE BETWEEN {w} PRECEDING AND CURRENT ROW)
    QUALIFY row IS NOT NULL
),
asked AS (
    SELECT row, entity, moment, unnest([(moment - {w}) // {w}, moment // {w}]) AS bucket FROM labels
),
late AS (
    SELECT row, count(*) AS n, count(x) AS valued, sum(x) AS total, min(x) AS least_x, max(x) AS most_x
    FROM asked JOIN events ON events.entity = asked.entity AND events.t // {w} = asked.bucket
    WHERE known > t AND t >= moment - {w} AND t < moment AND known <= moment
    GROUP BY row
)
SELECT row, early.n + coalesce(late.n, 0) AS count,
    coalesce(early.total, 0) + coalesce(late.total, 0) AS sum,
    sum / nullif(early.valued + coalesce(late.valued, 0), 0) AS mean,
    least(early.least_x, late.least_x) AS min, greatest(early.most_x, late.most_x) AS max
FROM early LEFT JOIN late USING (row)
"""

WAYS = {"buckets": _BUCKETS, "frames": _FRAMES}


def windows(average: int, way: str, out: str | None = None) -> dict[str, float]:
    """Five aggregates of the events in a window. The labels lie in memory, as they do for ours."""
    database = duckdb.connect()
    labels = DATA / "visit_labels.parquet"
    rows = f"read_parquet('{labels}') AS labels"
    database.execute(f"CREATE TEMP TABLE labels AS SELECT row, entity, epoch_us(labels.at) AS moment FROM {rows}")
    query = WAYS[way].format(events=_EVENTS.format(visits=_VISITS), w=window(average) * SECOND)
    seconds, _ = timed(lambda: database.execute(query))
    if out is not None:
        database.execute(f"COPY (SELECT row, count, sum, mean, min, max FROM result) TO '{out}' (FORMAT parquet)")
    return {"seconds": seconds}
