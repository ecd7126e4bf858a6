"""What is known about a flight two hours before it is due to leave."""

import data
import polars as pl

from backstay import Derived, Entity, EventSource, FeatureSet, Latest, Mean, Request, Share, Windowed

carrier = Entity("carrier")
origin = Entity("origin")
dest = Entity("dest")
route = Entity("route", keys=["origin", "dest"])
tailnum = Entity("tailnum", description="the aircraft, by its tail number")

FLIGHT = dict.fromkeys(data.FLIGHT, "string")

schedule = EventSource("schedule", schema={**FLIGHT, "distance": "float"}, known_time="known_time", read=data.schedule)
takeoffs = EventSource("takeoffs", schema={**FLIGHT, "dep_delay": "float"}, read=data.takeoffs)
landings = EventSource("landings", schema={**FLIGHT, "arr_delay": "float"}, read=data.landings)
voids = EventSource("voids", schema={**FLIGHT, "kind": "string"}, read=data.voids)
weather = EventSource(
    "weather", schema={"origin": "string", **dict.fromkeys(data.WEATHER, "float")}, delay="1h", read=data.weather
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
)
