"""What is known about a flight two hours before it is due to leave."""

import data
import polars as pl

from backstay import Contract, Derived, Entity, EventSource, Expect, FeatureSet, Latest, Mean, Request, Share, Windowed

carrier = Entity("carrier")
origin = Entity("origin")
dest = Entity("dest")
route = Entity("route", keys=["origin", "dest"])
tailnum = Entity("tailnum", description="the aircraft, by its tail number")

FLIGHT = dict.fromkeys(data.FLIGHT, "string")

schedule = EventSource(
    "schedule",
    schema={**FLIGHT, "distance": "float"},
    known_time="known_time",
    read=data.schedule,
    contract=Contract(Expect.unique("flight"), Expect.not_null("carrier"), Expect.between("distance", 1, 5_000)),
    owner="planning",
)
takeoffs = EventSource(
    "takeoffs",
    schema={**FLIGHT, "dep_delay": "float"},
    read=data.takeoffs,
    contract=Contract(Expect.unique("flight"), Expect.between("dep_delay", -120, 1_440)),
    freshness="6h",
    owner="operations",
)
landings = EventSource(
    "landings",
    schema={**FLIGHT, "arr_delay": "float"},
    read=data.landings,
    contract=Contract(Expect.unique("flight"), Expect.between("arr_delay", -180, 1_440)),
    freshness="6h",
    owner="operations",
)
voids = EventSource("voids", schema={**FLIGHT, "kind": "string"}, read=data.voids, owner="operations")
weather = EventSource(
    "weather",
    schema={"origin": "string", **dict.fromkeys(data.WEATHER, "float")},
    delay="1h",
    read=data.weather,
    contract=Contract(
        Expect.one_of("origin", ["EWR", "JFK", "LGA"]),
        Expect.between("humid", 0, 100),
        Expect.between("wind_speed", 0, 250),
        Expect.volume(at_least=60, per="1d"),
    ),
    freshness="3h",
    owner="meteorology",
    tags=["external"],
)

late = Share(pl.col("arr_delay") >= 30)
local = pl.col("scheduled_departure").dt.convert_time_zone(data.NEW_YORK)

flight_features = FeatureSet(
    "flight",
    [
        *(
            Windowed(landings, by=entity, over=["3h", "1d", "7d"], delay=Mean("arr_delay"), late=late)
            for entity in (carrier, route, origin, tailnum)
        ),
        Latest(landings, by=tailnum, max_age="2d", last_arrival_delay="arr_delay"),
        Latest(takeoffs, by=tailnum, max_age="2d", last_departure_delay="dep_delay"),
        Latest(weather, by=origin, max_age="3h", **{name: name for name in data.WEATHER}),
        Request(scheduled_departure="datetime", distance="float"),
        Derived(
            hour=local.dt.hour() + local.dt.minute() / 60,
            weekday=local.dt.weekday(),
            carrier_trend=pl.col("carrier_delay_3h") - pl.col("carrier_delay_7d"),
            origin_trend=pl.col("origin_delay_3h") - pl.col("origin_delay_7d"),
            dew_spread=pl.col("origin_temp") - pl.col("origin_dewp"),
        ),
    ],
    description="recent delays of what a flight belongs to, its aircraft's last ones, the weather, and the plan",
    descriptions={
        "hour": "the scheduled hour of departure, on New York's clocks",
        "weekday": "Monday is 1, on New York's calendar",
        "carrier_trend": "minutes by which the carrier's last three hours were later than its week",
        "origin_trend": "minutes by which the airport's last three hours were later than its week",
        "dew_spread": "degrees Fahrenheit between temperature and dew point: near 0 there is fog",
    },
    owner="operations",
)
