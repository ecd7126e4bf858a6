"""Tags, such as "pii": given to sources, columns and features, and removed only with a reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from backstay.core.errors import DefinitionError

Tags = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""Tags of the whole, or by column (of a source) or feature (of a set)."""

Untag = Mapping[str, Mapping[str, str]]
"""By feature and inherited tag, the reason why the feature does not carry it."""


def tag_names(given: str | Sequence[str], where: str) -> tuple[str, ...]:
    """Tags as they were given, one alone or several.

    >>> tag_names("pii", "source 'payments'")
    ('pii',)
    """
    tags = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Collection) else (given,)
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip():
            raise DefinitionError(
                f"{tag!r} is not a tag", where=where, expected='words such as "pii"', fix='write tags=["pii"]'
            )
    return tags


def checked_tags(given: Tags, where: str) -> Tags:
    """Tags of the whole, or by column or feature, each a tuple."""
    if isinstance(given, Mapping):
        return {name: tag_names(tags, where) for name, tags in given.items()}
    return tag_names(given, where)


def checked_untag(given: Untag, where: str) -> dict[str, dict[str, str]]:
    """Removals by feature and tag; each has its reason, since it is recorded with every version."""
    out: dict[str, dict[str, str]] = {}
    for feature, reasons in given.items():
        fits = isinstance(reasons, Mapping)
        if not fits or any(not isinstance(reason, str) or not reason.strip() for reason in reasons.values()):
            raise DefinitionError(
                f"a tag is removed from feature {feature!r} without a reason",
                where=where,
                expected="by feature and tag, why it does not carry it",
                fix=f'write untag={{"{feature}": {{"pii": "ten bands of 100,000 people"}}}}',
            )
        out[feature] = dict(reasons)
    return out
