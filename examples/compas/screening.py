"""What is known of a person at the end of the day they were screened; apart from it, what they may be grouped by."""

import people
import polars as pl

from backstay import Contract, Derived, Entity, EventSource, Expect, FeatureSet, Latest, Request

person = Entity("person", description="somebody who was screened; the number is the file's, not a name")

screenings = EventSource(
    "screenings",
    schema={"person": "string", **dict.fromkeys(people.COUNTS, "int"), "decile": "int", "days_from_arrest": "int"},
    read=people.screenings,
    contract=Contract(
        Expect.unique("person"),
        Expect.not_null("days_from_arrest"),
        Expect.between("days_from_arrest", -30, 30),
        Expect.between("decile", 1, 10),
        Expect.between("priors", 0, 100),
    ),
    owner="court",
    tags=["personal"],
)
bookings = EventSource(
    "bookings", schema={"person": "string", "felony": "bool"}, read=people.bookings, owner="jail", tags=["personal"]
)
register = EventSource(
    "register",
    schema={"person": "string", "race": "string", "sex": "string", "age_band": "string"},
    read=people.register,
    owner="clerk",
    tags=["personal", "protected"],
)
rearrests = EventSource(
    "rearrests", schema={"person": "string"}, read=people.rearrests, owner="jail", tags=["personal"]
)
unfollowed = EventSource("unfollowed", schema={"person": "string"}, read=people.unfollowed, owner="court")

criminal_record = FeatureSet(
    "criminal_record",
    [
        Latest(bookings, by=person, max_age="60d", felony="felony"),
        Request(**dict.fromkeys(people.COUNTS, "int")),
        Derived(
            priors_root=pl.col("priors").cast(pl.Float64).sqrt(),
            juvenile=pl.col("juvenile_felonies") + pl.col("juvenile_misdemeanors") + pl.col("juvenile_other"),
        ),
    ],
    description="the charge that was booked, and what the criminal record counts; nothing of race, sex or age",
    descriptions={
        "person_felony": "the charge is a felony and not a misdemeanor",
        "priors_root": "the square root of earlier charges: the tenth tells less than the first",
        "juvenile": "everything that the record has from before the age of 18",
    },
    owner="court",
)

protected = FeatureSet(
    "protected",
    [Latest(register, by=person, race="race", sex="sex", age_band="age_band")],
    description="what people may be grouped by when a model is evaluated; no model reads it",
    owner="clerk",
)
