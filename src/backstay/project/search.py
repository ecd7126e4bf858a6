"""Search over the catalogue: every word must be found, and a name counts for more than what stands near it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from backstay.core.show import Shown

_WEIGHTS = {"name": 10, "tag": 8, "owner": 5, "description": 5, "column": 4, "kind": 4, "source": 3, "feature set": 2}
"""How much a word found there counts; 1 elsewhere."""

_EXACT, _WHOLE_WORD, _BEGINNING, _INSIDE = 1.0, 0.8, 0.6, 0.3
_PARTS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Found(Shown):
    """A feature set or feature; `about` has the texts it is found by, `matched` where words were found, best first."""

    name: str
    kind: str
    feature_set: str
    description: str
    owner: str
    tags: list[str]
    about: Mapping[str, Sequence[str]]
    score: float = 0.0
    matched: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the texts."""
        return {
            "name": self.name, "kind": self.kind, "feature_set": self.feature_set, "description": self.description,
            "owner": self.owner, "tags": self.tags, "score": self.score, "matched": self.matched,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Searched(Shown):
    """What a search found, best first; `did_you_mean` for words that are found nowhere."""

    words: list[str]
    found: list[Found]
    did_you_mean: list[str]


def search(words: Sequence[str], among: Sequence[Found]) -> Searched:
    """Those in which every word is found; capitals do not matter, and words may be given as one text."""
    wanted = [part.lower() for word in words for part in word.split()]
    found = sorted(filter(None, (_scored(one, wanted) for one in among)), key=_order)
    meant: list[str] = []
    if not found:
        known = sorted({part for one in among for _, text in _texts(one) for part in (text, *_PARTS.findall(text))})
        lost = [word for word in wanted if not any(_best(one, word) for one in among)]
        meant = list(dict.fromkeys(near for word in lost for near in get_close_matches(word, known, n=3)))
    return Searched(wanted, found, meant)


def _order(one: Found) -> tuple[float, bool, str]:
    """The best first; of equals a feature set before its features."""
    return -one.score, one.kind != "feature set", one.name


def _scored(one: Found, words: Sequence[str]) -> Found | None:
    hits = [_best(one, word) for word in words]
    if not hits or None in hits:
        return None
    best = [hit for hit in hits if hit is not None]
    score = round(sum(score for score, _ in best), 2)
    matched = list(dict.fromkeys(where for _, where in sorted(best, reverse=True)))
    return Found(one.name, one.kind, one.feature_set, one.description, one.owner, one.tags, one.about, score, matched)


def _best(one: Found, word: str) -> tuple[float, str] | None:
    """The best place of a word, with its score; None if it is nowhere."""
    hits = [(_fit(word, text) * _WEIGHTS.get(where, 1), where) for where, text in _texts(one)]
    best = max(hits)
    return best if best[0] else None


def _texts(one: Found) -> list[tuple[str, str]]:
    pairs = [("name", one.name), *((where, text) for where, texts in one.about.items() for text in texts)]
    return [(where, text.lower()) for where, text in pairs if text]


def _fit(word: str, text: str) -> float:
    if word == text:
        return _EXACT
    parts = _PARTS.findall(text)
    if word in parts:
        return _WHOLE_WORD
    if any(part.startswith(word) for part in parts) or text.startswith(word):
        return _BEGINNING
    return _INSIDE if word in text else 0.0
