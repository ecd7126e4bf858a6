"""The question: at the end of the day they were screened, will this person be arrested again within half a year?

It is asked twice. `two_years` is the vendor's question. An outcome that takes two years, in a file of two years, leaves
nobody to judge a model on, and its gate says so. `half_year` is the longest question that this file can judge.
"""

from typing import Any

from screening import criminal_record, protected, rearrests, screenings, unfollowed

from backstay import Ask, Fairness, GatePolicy, Label, Model, RetrainPolicy


def regression() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())


def asked_for(name: str, horizon: str, threshold: float) -> Model:
    """The question with its horizon; a score at or above the threshold is the decision.

    A threshold t is right where a wrong call costs t and a missed arrest 1 - t (Elkan 2001): these are the costs.
    """
    return Model(
        name,
        features=criminal_record,
        label=Label(name, source=rearrests, key="person", occurs=True, horizon=horizon, void=unfollowed),
        ask=Ask(screenings),
        estimator=regression,
        threshold=threshold,
        gate=GatePolicy(metric="auc", margin=0.05, embargo="1d"),
        retrain=RetrainPolicy(every="90d"),
        fairness=Fairness(protected, kind="punitive", false_positive=threshold, false_negative=1 - threshold),
        stakes="high",
        description=f"arrested again within {horizon}, asked at the end of the day of the screening",
    )


half_year = asked_for("half_year", "180d", 0.18)
two_years = asked_for("two_years", "730d", 0.45)
