"""The question: at the end of the day they were screened, will this person be arrested again within half a year?

It is asked twice. `two_years` is the vendor's question. An outcome that takes two years, in a file of two years, leaves
nobody to judge a model on, and its gate says so. `half_year` is the longest question that this file can judge.
"""

from typing import Any

from screening import criminal_record, rearrests, screenings, unfollowed

from backstay import Ask, GatePolicy, Label, Model, RetrainPolicy


def regression() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())


def asked_at(name: str, horizon: str, threshold: float) -> Model:
    """The question with its horizon; a score at or above the threshold is the decision."""
    return Model(
        name,
        features=criminal_record,
        label=Label(name, source=rearrests, key="person", occurs=True, horizon=horizon, void=unfollowed),
        ask=Ask(screenings),
        estimator=regression,
        threshold=threshold,
        gate=GatePolicy(metric="auc", margin=0.05, embargo="1d"),
        retrain=RetrainPolicy(every="90d"),
        stakes="high",
        description=f"arrested again within {horizon}, asked at the end of the day of the screening",
    )


half_year = asked_at("half_year", "180d", threshold=0.18)
two_years = asked_at("two_years", "730d", threshold=0.45)
