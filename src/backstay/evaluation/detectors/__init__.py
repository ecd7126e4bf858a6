"""**Detectors**: they watch one number for years and say when it has changed for the worse.

A test that is passed every day is failed some day, whatever is true. A detector is made for that: it is looked at after
every block, for as long as the model lives, and its promise is how long it takes, on average, until it cries for
nothing (the *average run length*).

    HarmDetector      against a baseline that is known, with a margin that is put up with: a day's losses a block
    ChangeDetector    against whatever was before, of a stream that nobody has a baseline for: row by row

A state is a few plain numbers: `update` gives the next one, `as_dict` is what a record keeps of it, and `from_dict`
goes on where that left off.
"""

from backstay.evaluation.detectors.harm import HarmDetector
from backstay.evaluation.detectors.stream import ChangeDetector

__all__ = ["ChangeDetector", "HarmDetector"]
