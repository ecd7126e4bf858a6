from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from backstay.training.parameters import plain_parameters


def test_nested_parameters_are_plain_and_have_no_addresses():
    def parameters():
        return plain_parameters(make_pipeline(SimpleImputer(), LogisticRegression(C=0.5)))

    found = parameters()
    assert found == parameters()
    assert found["logisticregression__C"] == 0.5
    assert found["logisticregression"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert found["simpleimputer__missing_values"] == "nan"
    assert "0x" not in str(found)
