"""What users test with: a feature set on a handful of events (`features_at`), and the conformance kit for backends.

    from backstay.testing import features_at

    def test_a_late_landing_counts():
        landed = {"event_time": "2024-05-01T11:00Z", "carrier": "UA", "arr_delay": 40.0}
        assert features_at(flights, "2024-05-01T12:00Z", {landings: [landed]}, carrier="UA")["carrier_late_1h"] == 1.0

The conformance kit is what a backend must do, as tests that a user's own backend can run:

    from backstay.testing import OnlineStateConformance

    class TestMyOnline(OnlineStateConformance):
        @pytest.fixture
        def opener(self, tmp_path):
            return functools.partial(MyOnline, tmp_path / "online")

Backstay's own backends pass the same classes. `pytest.register_assert_rewrite("backstay.testing.online")` before the
import makes failures show their values.
"""

from backstay.testing.features import FeatureValues, features_at
from backstay.testing.online import OnlineStateConformance

__all__ = ["FeatureValues", "OnlineStateConformance", "features_at"]
