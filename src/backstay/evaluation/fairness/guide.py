"""The guide: from four questions about a decision to the criterion that it is judged by, and those given up for it.

No model satisfies every criterion where base rates differ, so one is primary. Which one is a question of what the
decision does to people, and is asked before anybody looks at the numbers:

    kind        does being selected harm the person (punitive) or help (assistive)?
    capacity    are there fewer places than people who should be selected (limited), or not (unlimited)?
    labels      is the outcome what it says (trusted), or itself made by unequal treatment, like an arrest (biased)?
    feedback    is the outcome seen whatever is decided (all), or only of those selected (selected)?

The rules are those of the fairness tree of Aequitas (Saleiro et al. 2018) and the compass of Ruf and Detyniecki (2021),
in that order: what can't be measured is not chosen; then who bears the error. An answer of the guide is a proposal; who
decides puts a name and a reason to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.errors import InputError
from backstay.core.show import Shown

QUESTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "kind": (
        "What does being selected do to a person?",
        {"punitive": "it harms: a fine, a search, a refusal", "assistive": "it helps: a loan, a place, a visit"},
    ),
    "capacity": (
        "How many can be selected?",
        {"limited": "fewer than should be: places are short", "unlimited": "everybody who should be"},
    ),
    "labels": (
        "Is the outcome what it says it is?",
        {
            "trusted": "it is measured alike for everybody",
            "biased": "it was made by unequal treatment, as an arrest is by where police look",
        },
    ),
    "feedback": (
        "Whose outcome is seen?",
        {"all": "everybody's, whatever was decided", "selected": "only of those selected, as of loans that were given"},
    ),
}
"""Each question with its answers."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered to each question; `InputError` for an answer that there is none of.

    >>> Answers(kind="assistive", capacity="limited", labels="trusted", feedback="all").kind
    'assistive'
    """

    kind: str
    capacity: str
    labels: str
    feedback: str

    def __post_init__(self) -> None:
        for name, (_, options) in QUESTIONS.items():
            if getattr(self, name) not in options:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}", where=name, expected=f"one of {', '.join(options)}"
                )


@dataclass(frozen=True, slots=True)
class Proposal(Shown):
    """The primary criterion, why, and what is given up with it: by criterion, why."""

    criterion: str
    why: str
    given_up: tuple[tuple[str, str], ...]
    answers: Answers

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        answers = {name: getattr(self.answers, name) for name in QUESTIONS}
        return {
            "criterion": self.criterion, "why": self.why, "given_up": dict(self.given_up), "answers": answers,
        }  # fmt: skip


def propose(answers: Answers) -> Proposal:
    """The criterion that these answers lead to.

    >>> found = propose(Answers(kind="punitive", capacity="unlimited", labels="trusted", feedback="all"))
    >>> found.criterion, dict(found.given_up)["demographic_parity"]
    ('predictive_equality', 'more are selected where more should be')
    """
    criterion, why = _choice(answers)
    return Proposal(criterion, why, tuple(given_up(criterion).items()), answers)


def _choice(answers: Answers) -> tuple[str, str]:
    if answers.labels == "biased":
        return "demographic_parity", (
            "the outcome can't be trusted, and every other criterion counts errors against it; that as many are "
            "selected in each group can be seen without it"
        )
    if answers.feedback == "selected":
        return "predictive_parity", (
            "outcomes are seen of those selected alone: what share of them was selected rightly is all that can be "
            "measured, and that it is alike in each group"
        )
    if answers.kind == "punitive" and answers.capacity == "limited":
        return "predictive_parity", (
            "few are selected, and it harms them: of those selected, as many in each group should be selected rightly"
        )
    if answers.kind == "punitive":
        return "predictive_equality", (
            "being selected harms: whoever should not be runs the same risk of it in each group"
        )
    if answers.capacity == "limited":
        return "equal_opportunity", (
            "places are short and help: whoever should have one has the same chance of it in each group"
        )
    return "equalized_odds", (
        "there is a place for everybody who should have one: neither to be left out nor to be selected wrongly should "
        "be likelier in one group"
    )


def given_up(criterion: str) -> dict[str, str]:
    """What a primary criterion takes no care of, where base rates differ, and why: by criterion.

    >>> list(given_up("equalized_odds"))
    ['demographic_parity', 'predictive_parity', 'calibration']
    """
    if criterion not in _GIVEN_UP:
        raise InputError(f"the criterion is {criterion!r}", expected=f"one of {', '.join(_GIVEN_UP)}")
    return dict(_GIVEN_UP[criterion])


_FOLLOWS = "the base rates, not the criterion, then decide it"
_GIVEN_UP: dict[str, dict[str, str]] = {
    "demographic_parity": {
        "equalized_odds": "with unlike base rates the same share selected means unlike errors",
        "equal_opportunity": "of those who should be selected, fewer are where more should be",
        "predictive_equality": "of those who should not be selected, more are where fewer should be",
        "predictive_parity": "being selected means less where fewer should be",
        "calibration": "the same score is treated unlike in two groups",
    },
    "equal_opportunity": {
        "demographic_parity": "more are selected where more should be",
        "predictive_equality": f"how many are selected wrongly may differ: {_FOLLOWS}",
        "equalized_odds": "it asks for both errors alike, and one is let go",
        "predictive_parity": f"what being selected means may differ: {_FOLLOWS}",
        "calibration": "a threshold for each group treats the same score unlike",
    },
    "predictive_equality": {
        "demographic_parity": "more are selected where more should be",
        "equal_opportunity": f"of those who should be selected, the share that is may differ: {_FOLLOWS}",
        "equalized_odds": "it asks for both errors alike, and one is let go",
        "predictive_parity": f"what being selected means may differ: {_FOLLOWS}",
        "calibration": "a threshold for each group treats the same score unlike",
    },
    "equalized_odds": {
        "demographic_parity": "with the same errors, more are selected where more should be",
        "predictive_parity": "Chouldechova's equation: with TPR and FPR alike, PPV follows the base rate",
        "calibration": "scores can't be right in each group and balanced in both outcomes (Kleinberg et al. 2016)",
    },
    "predictive_parity": {
        "demographic_parity": "more are selected where more should be",
        "equal_opportunity": f"of those who should be selected, the share that is may differ: {_FOLLOWS}",
        "predictive_equality": "Chouldechova's equation: with PPV alike, it follows the base rate",
        "equalized_odds": "both errors can't be alike when PPV is (Chouldechova 2017)",
    },
    "calibration": {
        "demographic_parity": "scores that are right follow the base rates, and who is selected follows the scores",
        "equal_opportunity": "with one threshold for all, errors follow the base rates",
        "predictive_equality": "with one threshold for all, errors follow the base rates",
        "equalized_odds": "scores can't be right in each group and balanced in both outcomes (Kleinberg et al. 2016)",
    },
}
