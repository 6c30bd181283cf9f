"""docs/predicates.md: the language of predicates, and its fields from the code's catalogue."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.predicate import (
    CATALOGUE,
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NESTING,
    MAX_NODES,
    MAX_NUMBER_LENGTH,
    MAX_TEXT_LENGTH,
    Field,
    Kind,
    Subject,
)


def page(header: str) -> str:
    """The page."""
    tables = "".join(
        f"### Of the {subject.value}\n\n| field | kind | |\n|---|---|---|\n"
        + "".join(_row(field) for field in CATALOGUE.values() if field.subject is subject)
        + "\n"
        for subject in Subject
    )
    return _TEXT.format(
        header=header,
        fields=tables.rstrip("\n"),
        length=f"{MAX_LENGTH:,}",
        nodes=f"{MAX_NODES:,}",
        comparisons=MAX_COMPARISONS,
        nesting=MAX_NESTING,
        depth=MAX_DEPTH,
        number=MAX_NUMBER_LENGTH,
        text=MAX_TEXT_LENGTH,
    )


def _row(field: Field) -> str:
    words = f": {', '.join(field.words)}" if field.kind is Kind.WORD else ""
    return f"| `{field.name}` | {field.kind.value} | {field.text}{words} |\n"


_TEXT: Final = """{header}
# Predicates over definitions

`SubscriptionFilter.predicate` chooses listings by what the registries say of them, in one expression:

    taker_bps < 10 and tick_size <= 0.01
    asset_class == "OPTION" and option_kind == "CALL" and 90 <= strike < 110 and expiry < "2027-01-01"
    venue in ("XNAS", "XNYS") and not (country == "US" or has(listed_to))

It restricts together with the other fields of the filter. Like them it follows the registries: a listing whose definition, or whose venue's,
comes to satisfy it joins by itself, one that no longer does leaves. Listings the registries do not know satisfy none; `include_unknown` lets them
pass. A synthetic is a listing with an `asset_class` and nothing else.

## Grammar

    predicate  = conjunct {{ "or" conjunct }}
    conjunct   = condition {{ "and" condition }}
    condition  = "not" condition | "(" predicate ")" | comparison | flag
               | "has" "(" field ")" | field "is" ["not"] "missing"
    comparison = field relation value {{ relation value }} | value relation field [ relation value ]
               | field ["not"] "in" "(" value {{ "," value }} ")"
    relation   = "<" | "<=" | ">" | ">=" | "==" | "!="
    value      = 2, 0.5, -1e-8 | "a text" | 'a text' | true | false

Blanks and line ends may stand between any two parts. A field is compared with values, never with another field. Texts are compared as they are
spelled, capitals included, and know no escape: what holds one sort of quotes stands in the other.

| kind | values | comparisons |
|---|---|---|
| number | exact decimals: 0.1 is a tenth, and no comparison goes through a float | all |
| time | a day, from 00:00 UTC, or a time of UTC, to the microsecond: "2026-12-31", "2026-12-31T08:00:00Z" | all |
| text | of its source, in quotes | `==` `!=` `in` |
| id | 32 hexadecimal digits, in quotes | `==` `!=` `in` |
| word | one of those listed, in quotes; another is refused | `==` `!=` `in` |
| flag | `true` or `false` | by itself, `==` `!=` |

A comparison with a field that is missing is false, `!=` and `not in` too: `country != "US"` asks for a country that is another one.
`has(country)` and `country is missing` tell. `not` turns what it stands before, whatever the reason: `not country == "US"` holds where there is
no country.

## Fields

{fields}

`maker_bps` and `taker_bps` are the listing's own, else those of the first tier of the first schedule in force of its venue that states them, as
opportunities are computed with; they change as schedules begin and end.

## Refusals

A predicate is checked before anything is subscribed: all violations of it come at once, each with its place, the value and a rule `predicate-...`
(`errors.md`). A text is looked at token by token before any parser sees it, and what stands in quotes never is; the tree is checked against a
white list of nodes; no text is ever executed.

| limit | |
|---|---|
| characters | {length} |
| names, values and operators | {nodes} |
| comparisons; an `in` is one, of numbers one a number | {comparisons} |
| parentheses within each other, `not` in a row | {nesting} |
| levels of the tree | {depth} |
| characters of a number; its digits fit 64 bits, its exponent lies in -128 to 127 | {number} |
| characters of a text | {text} |

## What it costs

Nothing for each event: a predicate is compiled once, and evaluated when definitions change, for the listings that changed. Subscriptions whose
predicates say the same, and whose other fields are the same, share one evaluation, whoever asked. Putting one over 100,000 listings takes the
relay 5 to 20 milliseconds of one core, as another filter does (2 cores, Python 3.11); of 1,000 different ones each costs about a tenth of a
millisecond whenever definitions change, of one listing or of fifty at once.
"""
