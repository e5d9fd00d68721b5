"""An audit as one self-contained HTML page: no script, nothing loaded from anywhere.

Every text of a batch is escaped; it is read light or dark, by a screen reader, and on paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from workbench.runes.answer import Answer
from workbench.runes.audit import Audit, Finding
from workbench.runes.evidence import Evidence
from workbench.runes.saying import said_amount

MOST_ROWS = 2_000
SHOWN_TXIDS = 20
_STYLE = """
:root{color-scheme:light dark;--line:#8888;--wrong:#a40000;--right:#00602b}
@media(prefers-color-scheme:dark){:root{--wrong:#ff9a8f;--right:#7fe0a0}}
body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:auto;padding:1rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0 1.5rem}
th,td{border-bottom:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}
caption{text-align:left;padding:.25rem 0}td.n{text-align:right;font-variant-numeric:tabular-nums}
code,td.n{font-family:ui-monospace,monospace;font-size:.85em}
code{overflow-wrap:anywhere}td.n{white-space:nowrap}
.verdict{font-size:1.25rem;border-left:.4rem solid;padding-left:.8rem}
.wrong{border-color:var(--wrong)}.right{border-color:var(--right)}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def audit_page(found: Audit, *, version: str) -> str:
    """The page. The same audit gives the same text."""
    name = f"{found.rune.name} ({found.rune.id})"
    title = escape(f"Audit of {name} against {found.theirs.producer}")
    parts = [
        f"<h1>{title}</h1>",
        _verdict(found),
        _sides(found),
        _transactions(found),
        _values(found),
        _sums(found),
        _listed("What could not be compared", found.missing),
        _listed("How it was compared", found.compared.explanation.formulas),
        _listed("Assumptions", found.compared.explanation.assumptions),
        f"<footer><p>Runes Workbench {escape(version)}. Amounts are exact; they are in atomic "
        "units, and in brackets, where the decimal places are known, as a person reads them. "
        "Differences are the producer's value less ours.</p></footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        + "\n".join(filter(None, parts))
        + "</main></body></html>\n"
    )


def _verdict(found: Audit) -> str:
    kind, word = ("right", "Agrees") if found.agrees else ("wrong", "Wrong")
    said = escape(str(found.sentence))
    return f'<p class="verdict {kind}" role="status"><strong>{word}:</strong> {said}.</p>'


def _sides(found: Audit) -> str:
    rows = [
        _facts("ours", found.ours, found.own),
        _facts("the producer's", found.theirs, found.reconciled),
    ]
    head = ("side", "whose", "blocks", "level", "rests on", "its own figures")
    return _table("What was compared", head, rows)


def _facts(side: str, evidence: Evidence, answer: Answer | None) -> tuple[str, ...]:
    own = "not enough to tell" if answer is None else str(answer.sentence)
    rests = evidence.trust or "computed or stated by it"
    whose = f"{evidence.producer}: {evidence.name}"
    return side, whose, evidence.span, evidence.completeness, rests, own


def _transactions(found: Audit) -> str:
    rows = [
        (
            None if one.height is None else f"{one.height:,}",
            _code(one.txid),
            one.kind,
            _amount(found, one.ours),
            _amount(found, one.theirs),
            _amount(found, one.difference),
        )
        for one in found.moved
    ]
    head = ("block", "transaction", "what", "ours", "the producer's", "difference")
    return _table("Transactions in which the producer is wrong", head, rows, numbers=(3, 4, 5))


def _values(found: Audit) -> str:
    rows = [
        (
            one.table,
            _code(one.what) if one.what else None,
            one.field,
            _value(found, one, one.ours),
            _value(found, one, one.theirs),
            None if one.difference is None else f"{one.difference:+,}",
            _txids(one),
        )
        for one in found.findings
    ]
    head = (
        "of",
        "where",
        "value",
        "ours",
        "the producer's",
        "difference",
        "transactions concerned",
    )
    return _table("Values that are wrong", head, rows, numbers=(3, 4, 5))


def _sums(found: Audit) -> str:
    rows = [
        (
            None if one.height is None else f"{one.height:,}",
            _code(one.txid),
            _amount(found, one.came),
            _amount(found, one.went),
            _amount(found, one.went - one.came),
        )
        for one in found.contradictions
    ]
    head = ("block", "transaction", "came in", "went out", "difference")
    title = "Transactions of the producer's whose two sides differ by its own figures"
    return _table(title, head, rows, numbers=(2, 3, 4))


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _code(text: str) -> _Html:
    return _Html(f"<code>{escape(text)}</code>")


def _amount(found: Audit, amount: int | None) -> str | None:
    if amount is None:
        return None
    places = found.rune.divisibility
    return f"{amount:,}" if not places else f"{amount:,} ({said_amount(amount, places)})"


def _value(found: Audit, one: Finding, value: str | None) -> str | None:
    if value is None or one.difference is None or not value.isdigit():
        return value
    counted = one.field in ("mints", "cap")
    return f"{int(value):,}" if counted else _amount(found, int(value))


def _txids(one: Finding) -> str | None:
    if not one.txids:
        return None
    shown = [_code(txid) for txid in one.txids[:SHOWN_TXIDS]]
    more = one.of_all - len(shown)
    rest = f"<br>and {more:,} more" if more > 0 else ""
    return _Html("<br>".join(shown) + rest)


def _cell(value: Any, is_number: bool) -> str:
    text = "–" if value is None else value if isinstance(value, _Html) else escape(str(value))
    return f'<td class="n">{text}</td>' if is_number else f"<td>{text}</td>"


def _table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Iterable[int] = ()
) -> str:
    if not rows:
        return ""
    right = set(numbers)
    body = "".join(
        "<tr>" + "".join(_cell(one, place in right) for place, one in enumerate(row)) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    more = (
        f"the first {MOST_ROWS:,} of {len(rows):,}" if len(rows) > MOST_ROWS else f"{len(rows):,}"
    )
    caption = f"<caption>{escape(title)}: {more} {'row' if len(rows) == 1 else 'rows'}</caption>"
    region = f'<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0">'
    return (
        f"<h2>{escape(title)}</h2>{region}<table>{caption}<thead><tr>{columns}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _listed(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return (
        f"<h2>{escape(title)}</h2><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in lines)
        + "</ul>"
    )
