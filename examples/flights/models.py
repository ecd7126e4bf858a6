"""The question: asked two hours before it is due to leave, will this flight land 30 or more minutes late?"""

from typing import Any

import polars as pl

from backstay import (
    Ask,
    Breakers,
    Canary,
    GatePolicy,
    Guard,
    Label,
    Model,
    Monitor,
    Objective,
    RetrainPolicy,
    Rollout,
    Shadow,
)
from features import flight_features, landings, schedule, voids


def boosted_trees() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=250,
        learning_rate=0.05,
        num_leaves=31,
        min_child_samples=200,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.7,
        reg_lambda=5.0,
    )


# A version that has passed its gate is first shown three days of questions, some 900 a day, which the champion answers.
# Then it answers one flight in twenty, one in four, every second one, and all. A step takes a week: weekdays differ.
careful = Rollout(
    shadow=Shadow(rows=2_500, at_most="14d"),
    canary=Canary(
        steps=(0.05, 0.25, 0.5, 1.0),
        requests=200,
        least="7d",
        at_most="14d",
        guards=(
            Guard("errors"),
            # Log loss and not AUC: crews are planned by the probability, and one that is wrong for all flights at once
            # still ranks them well. To know the base rate alone costs some 0.07: more than 0.02 is not put up with.
            Guard("log_loss", margin=0.02),
            # Labels come a day and a half late. Until then: one flight in ten called otherwise is too much of a change.
            Guard("decisions", margin=0.1),
        ),
    ),
    # Within hours weather moves all scores. What moves them by half is broken; the rest is for the guards to weigh.
    breakers=Breakers(score_shift=0.5),
)

# Each day is held against the rows a version was trained on. An aircraft flies several times a day, and is late again.
# The demo computes every prediction again in the end: no share of them is computed each day as well.
daily = Monitor(window="1d", entity="tailnum", margin=0.02, parity=0.0)

late30 = Model(
    "late30",
    features=flight_features,
    label=Label("late30", source=landings, key="flight", value=pl.col("arr_delay") >= 30, horizon="36h", void=voids),
    ask=Ask(schedule, before="2h", fields={"scheduled_departure": "event_time"}),
    estimator=boosted_trees,
    gate=GatePolicy(metric="auc", margin=0.002, embargo="1d", judge_after="14d"),
    # An input that moved is no harm yet, and by default trains nothing. Here it does: weather is what delays flights.
    retrain=RetrainPolicy(every="14d", retrain_on=("cadence", "realised", "psi"), cooldown="7d"),
    rollout=careful,
    monitor=daily,
    objective=Objective(latency="50ms", share=0.99, availability=0.999, why="crews are planned while it is waited for"),
)
