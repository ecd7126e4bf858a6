"""Tags, such as "pii": given to sources, columns and features, and removed only with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Tags = Sequence[str] | Mapping[str, Sequence[str]]
"""Tags of the whole, or by column (of a source) or feature (of a set)."""

Untag = Mapping[str, Mapping[str, str]]
"""By feature and inherited tag, the reason why the feature does not carry it."""
