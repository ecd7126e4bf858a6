"""Finding runs: a condition in SQL, which Polars reads, over columns that are made as far as it names them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from operator import attrgetter
from typing import Any

import polars as pl

from backstay.core.errors import InputError
from backstay.storage.runs import KeptRun, RunRecord, picked

KINDS = ("parameters", "metrics", "tags")
_OWN: dict[str, Callable[[KeptRun | RunRecord], Any]] = {
    name: attrgetter(name) for name in ("id", "name", "status", "actor", "begun", "seconds", "version", "error")
}
_TYPES: dict[str, Any] = {"begun": pl.Int64, "seconds": pl.Float64, "version": pl.Int64}
_MANY = 40
_PLACE = "\n"
"""A column beside those that are named, which no name can be: it says how many rows there are."""

# A text, a name in quotes, or a dotted name, which Polars would take for a column of a table.
_PART = re.compile(r"""'(?:[^']|'')*'|(?:(\w+)\.)?"((?:[^"]|"")+)"|(?<![\w.])([A-Za-z_]\w*(?:\.\w+)+)""")


def search(runs: Sequence[KeptRun], where: str, order: str, limit: int | None) -> list[KeptRun]:
    """The runs, given in the order of their beginning, for which `where` holds; see `Runs.search`."""
    if limit is not None and limit < 0:
        raise InputError(f"the limit is {limit}", where="limit", expected="0 or more")
    found = list(reversed(runs))
    if where.strip():
        wanted = _evaluated(found, where, "where")
        if wanted.dtype not in (pl.Boolean, pl.Null):
            raise InputError(
                f"{where!r} is of type {wanted.dtype}, and not a condition",
                where="where", expected="what is true or false of a run", fix="for example: auc > 0.7 and depth = 6",
            )  # fmt: skip
        found = [run for run, fits in zip(found, wanted.to_list(), strict=True) if fits]
    return (_ordered(found, order, runs) if order.strip() else found)[:limit]


def _ordered(found: list[KeptRun], order: str, runs: Sequence[KeptRun]) -> list[KeptRun]:
    """What was found among the runs, in order."""
    try:
        return _sorted(found, order)
    except InputError:
        # It may be that only others have what it is in the order of: then these stand as they are.
        there = {one.id for one in found}
        return [one for one in _sorted(list(reversed(runs)), order) if one.id in there]


def _sorted(runs: list[KeptRun], order: str) -> list[KeptRun]:
    columns: list[pl.Series] = []
    down: list[bool] = []
    for part in order.split(","):
        term, _, last = part.strip().rpartition(" ")
        way = last.lower() if term and last.lower() in ("asc", "desc") else ""
        columns.append(_evaluated(runs, term if way else part.strip(), "order").alias(str(len(columns))))
        down.append(way == "desc")
    places = pl.int_range(len(runs), eager=True).alias("place")
    names = [one.name for one in columns]
    by = pl.DataFrame([places, *columns]).sort(names, descending=down, nulls_last=True, maintain_order=True)
    return [runs[place] for place in by["place"]]


def _evaluated(runs: Sequence[KeptRun], text: str, argument: str) -> pl.Series:
    """What an expression is for each run."""
    if not text:
        raise InputError("it is empty", where=argument, expected="an expression, such as auc > 0.7")
    expression = _parsed(text, argument)
    if not runs:
        return pl.Series([], dtype=pl.Boolean)
    values = _values(runs, list(dict.fromkeys(expression.meta.root_names())), argument)
    place = pl.int_range(len(runs), eager=True).alias(_PLACE)
    for as_text in (False, True):  # where some values are numbers and others texts: as whichever it asks for
        columns = [_column(name, one, as_text) for name, one in values.items()]
        try:
            return pl.DataFrame([place, *columns]).select(pl.col(_PLACE), expression.alias("answer"))["answer"]
        except pl.exceptions.PolarsError as error:
            failed = error
    raise InputError(
        f"{text!r} cannot be asked: {_said(failed)}",
        where=argument, expected="numbers held against numbers, and texts ('...') against texts",
    ) from failed  # fmt: skip


def _parsed(text: str, argument: str) -> pl.Expr:
    """The expression, all of it: in brackets, or what cannot be read behind a beginning would be passed over."""
    quoted, depth = _PART.sub(_quoted, text), 0
    for sign in re.sub(r"""'[^']*'|"[^"]*\"""", "", quoted):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    try:
        if depth:
            raise pl.exceptions.SQLSyntaxError("a bracket has no other half")
        return pl.sql_expr(f"({quoted})")
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{text!r} cannot be read: {_said(error)}",
            where=argument, expected="an expression in SQL", fix="for example: auc > 0.7 and tags.stage = 'x'",
        ) from error  # fmt: skip


def _quoted(part: re.Match[str]) -> str:
    before, quoted, dotted = part.groups()
    if dotted:
        return f'"{dotted}"'
    return f'"{before}.{quoted}"' if before else part.group()


def _said(error: Exception) -> str:
    """What Polars says, without places in a text that nobody has written."""
    first = str(error).partition("\n")[0].removeprefix("sql parser error: ")
    if first.startswith("unable to parse"):
        return "it is not whole, or not SQL"
    return re.sub(r" at Line: \d+, Column: \d+", "", first)


def _values(runs: Sequence[KeptRun], names: Sequence[str], argument: str) -> dict[str, list[Any]]:
    """What each run has under these names: of its own, or of the only kind of thing that is called so."""
    others = [name.partition(".") for name in names if name not in _OWN]
    found: dict[str, dict[str, list[Any]]] = {}
    for kind in KINDS if others else ():
        said = [rest for first, _, rest in others if first == kind]
        plain = ["".join(parts) for parts in others if parts[0] not in KINDS]
        found[kind] = picked(runs, kind, list(dict.fromkeys(said + plain)))
    return {name: list(map(_OWN[name], runs)) if name in _OWN else _only(runs, found, name, argument) for name in names}


def _only(runs: Sequence[KeptRun], found: dict[str, dict[str, list[Any]]], name: str, argument: str) -> list[Any]:
    kind, _, rest = name.partition(".")
    if rest in found.get(kind, {}):
        return found[kind][rest]
    kinds = [one for one in KINDS if kind not in KINDS and name in found[one]]
    if len(kinds) > 1:
        raise InputError(
            f"{name!r} names several things",
            where=argument, expected=" or ".join(f"{one}.{name}" for one in kinds), fix="say which",
        )  # fmt: skip
    if not kinds:
        there = _columns([one.whole() for one in runs])
        near = get_close_matches(name, there, n=1)
        more = f" and {len(there) - _MANY} more" if len(there) > _MANY else ""
        raise InputError(
            f"no run has {name!r}",
            where=argument, expected=f"one of {', '.join(there[:_MANY])}{more}",
            fix=f"did you mean {near[0]}?" if near else "a text stands in single quotes",
        )  # fmt: skip
    return found[kinds[0]][name]


def _columns(runs: Sequence[RunRecord]) -> list[str]:
    """Every name there is, as short as it may be written."""
    names = {kind: sorted({name for run in runs for name in getattr(run, kind)}) for kind in KINDS}
    every = [*_OWN, *(name for kind in KINDS for name in names[kind])]
    twice = {name for name in every if every.count(name) > 1} if len(every) > len(set(every)) else set()
    return [*_OWN, *(f"{kind}.{name}" if name in twice else name for kind in KINDS for name in names[kind])]


def _column(name: str, values: list[Any], as_text: bool = False) -> pl.Series:
    """Values as a column of one type: numbers where some are, unless they are wanted as texts."""
    if name in _TYPES:
        column = pl.Series(name, values, dtype=_TYPES[name])
        # Fixed in length and in UTC, so that it is in the order of time, and a date alone is its first moment.
        return column.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ") if name == "begun" else column
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    plain = kinds <= {int, float}
    if kinds & {int, float} and not (as_text and kinds - {int, float, bool}):
        numbers = values if plain else [one + 0 if isinstance(one, int | float) else None for one in values]
        whole = pl.Int64 if float not in kinds else pl.Float64
        column = pl.Series(name, numbers, dtype=whole, strict=False)
        return column.fill_nan(None) if whole == pl.Float64 else column
    texts = values if kinds <= {str} else [_text(one) for one in values]
    return pl.Series(name, texts, dtype=pl.String)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def frame_of(runs: Sequence[RunRecord]) -> pl.DataFrame:
    """Runs as a frame: what is their own, then `parameters.x`, `metrics.x` and `tags.x`."""
    return pl.DataFrame(list(_every(runs)))


def _every(runs: Sequence[RunRecord]) -> Iterator[pl.Series]:
    for name, value in _OWN.items():
        column = pl.Series(name, [value(run) for run in runs], dtype=_TYPES.get(name, pl.String))
        yield column.cast(pl.Datetime("us", "UTC")) if name == "begun" else column
    for kind in KINDS:
        columns: dict[str, list[Any]] = {}
        for place, run in enumerate(runs):
            for name, value in getattr(run, kind).items():
                if name not in columns:
                    columns[name] = [None] * len(runs)
                columns[name][place] = value
        yield from (_column(f"{kind}.{name}", columns[name], as_text=True) for name in sorted(columns))
