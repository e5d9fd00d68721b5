"""An audit as one self-contained HTML page: no script, nothing loaded from anywhere.

Every text of a batch is escaped; it is read light or dark, by a screen reader, and on paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from workbench.core.sentence import Sentence, Speech, told
from workbench.runes.answer import Answer
from workbench.runes.audit import Audit, Finding
from workbench.runes.evidence import Evidence
from workbench.runes.history import trust_line
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
h1,code{overflow-wrap:anywhere}td.n{white-space:nowrap}
.verdict{font-size:1.25rem;border-left:.4rem solid;padding-left:.8rem}
.wrong{border-color:var(--wrong)}.right{border-color:var(--right)}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def audit_page(found: Audit, *, version: str, speech: Speech | None = None) -> str:
    """The page, in the language of `speech`. The same audit gives the same text."""
    return _Page(found, speech or Speech()).text(version)


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _code(text: str) -> _Html:
    return _Html(f"<code>{escape(text)}</code>")


class _Page:
    def __init__(self, found: Audit, speech: Speech) -> None:
        self.found, self.speech = found, speech

    def text(self, version: str) -> str:
        found, explanation = self.found, self.found.compared.explanation
        foot = told(
            "Amounts are exact; they are in atomic units, and in brackets, where the decimal "
            "places are known, as a person reads them. Differences are the producer's value less "
            "ours."
        )
        name = f"{found.rune.name} ({found.rune.id})"
        producer = found.theirs.producer
        title = self._said(told("Audit of {name} against {producer}", name=name, producer=producer))
        parts = [
            f"<h1>{title}</h1>",
            self._verdict(),
            self._sides(),
            self._transactions(),
            self._values(),
            self._sums(),
            self._listed(told("What could not be compared"), found.missing),
            self._listed(told("How it was compared"), explanation.formulas),
            self._listed("Assumptions", explanation.assumptions),
            f"<footer><p>Runes Workbench {escape(version)}. {self._said(foot)}</p></footer>",
        ]
        return (
            f'<!doctype html>\n<html lang="{self.speech.language}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
            + "\n".join(filter(None, parts))
            + "</main></body></html>\n"
        )

    def _said(self, line: str | Sentence) -> str:
        return escape(self.speech.say(line))

    def _verdict(self) -> str:
        wrong = "Wrong" if self.found.is_proof else "Differs"
        kind, word = ("right", "Agrees") if self.found.agrees else ("wrong", wrong)
        verdict = f"<strong>{self._said(word)}:</strong> {self._said(self.found.sentence)}."
        return f'<p class="verdict {kind}" role="status">{verdict}</p>'

    def _sides(self) -> str:
        found = self.found
        rows = [
            self._facts("ours", found.ours, found.own),
            self._facts("the producer's", found.theirs, found.reconciled),
        ]
        head = ("side", "whose", "blocks", "level", "rests on", "its own figures")
        return self._table(told("What was compared"), head, rows)

    def _facts(self, side: str, evidence: Evidence, answer: Answer | None) -> tuple[str, ...]:
        say = self.speech.say
        own = say(told("not enough to tell") if answer is None else answer.sentence)
        trust = evidence.trust
        rests = say(trust_line(trust) if trust else told("computed or stated by it"))
        whose = f"{evidence.producer}: {evidence.name}"
        level = say(f"{evidence.completeness} level")
        return say(side), whose, say(evidence.span), level, rests, own

    def _transactions(self) -> str:
        rows = [
            (
                self._height(one.height),
                _code(one.txid),
                self.speech.say(one.kind),
                self._amount(one.ours),
                self._amount(one.theirs),
                self._amount(one.difference),
            )
            for one in self.found.moved
        ]
        head = ("block", "transaction", "what", "ours", "the producer's", "difference")
        title = told(
            "Transactions in which the producer is wrong"
            if self.found.is_proof
            else "Transactions in which the two differ"
        )
        return self._table(title, head, rows, numbers=(3, 4, 5))

    def _values(self) -> str:
        rows = [
            (
                self.speech.say(one.table),
                _code(one.what) if one.what else None,
                self.speech.say(one.field.replace("_", " ")),
                self._value(one, one.ours),
                self._value(one, one.theirs),
                None if one.difference is None else self.speech.digits(f"{one.difference:+,}"),
                self._txids(one),
            )
            for one in self.found.findings
        ]
        sides = ("ours", "the producer's", "difference", "transactions concerned")
        title = told("Values that are wrong")
        return self._table(title, ("of", "where", "value", *sides), rows, numbers=(3, 4, 5))

    def _sums(self) -> str:
        rows = [
            (
                self._height(one.height),
                _code(one.txid),
                self._amount(one.came),
                self._amount(one.went),
                self._amount(one.went - one.came),
            )
            for one in self.found.contradictions
        ]
        head = ("block", "transaction", "came in", "went out", "difference")
        title = told("Transactions of the producer's whose two sides differ by its own figures")
        return self._table(title, head, rows, numbers=(2, 3, 4))

    def _height(self, height: int | None) -> str | None:
        return None if height is None else str(height)

    def _amount(self, amount: int | None) -> str | None:
        if amount is None:
            return None
        places = self.found.rune.divisibility
        read = f" ({said_amount(amount, places)})" if places else ""
        return self.speech.digits(f"{amount:,}{read}")

    def _value(self, one: Finding, value: str | None) -> str | None:
        if value is None or one.difference is None or not value.isdigit():
            return value
        counted = one.field in ("mints", "cap")
        return self.speech.digits(f"{int(value):,}") if counted else self._amount(int(value))

    def _txids(self, one: Finding) -> str | None:
        if not one.txids:
            return None
        shown = [_code(txid) for txid in one.txids[:SHOWN_TXIDS]]
        more = one.of_all - len(shown)
        rest = [self._said(told("and {count} more", count=f"{more:,}"))] if more > 0 else []
        return _Html("<br>".join([*shown, *rest]))

    def _table(
        self,
        title: str,
        head: Sequence[str],
        rows: Sequence[Sequence[Any]],
        numbers: Iterable[int] = (),
    ) -> str:
        if not rows:
            return ""
        right = set(numbers)
        body = "".join(
            "<tr>" + "".join(_cell(one, place in right) for place, one in enumerate(row)) + "</tr>"
            for row in rows[:MOST_ROWS]
        )
        columns = "".join(f'<th scope="col">{self._said(name)}</th>' for name in head)
        known = {"rows": f"{len(rows):,}", "shown": f"{MOST_ROWS:,}"}
        counted = self._said(
            told("the first {shown} of {rows} {rows:row|rows}", **known)
            if len(rows) > MOST_ROWS
            else told("{rows} {rows:row|rows}", **known)
        )
        named = self._said(title)
        region = f'<div class="scroll" role="region" aria-label="{named}" tabindex="0">'
        return (
            f"<h2>{named}</h2>{region}<table><caption>{named}: {counted}</caption>"
            f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _listed(self, title: str, lines: Sequence[str]) -> str:
        if not lines:
            return ""
        rows = "".join(f"<li>{self._said(line)}</li>" for line in lines)
        return f"<h2>{self._said(title)}</h2><ul>{rows}</ul>"


def _cell(value: Any, is_number: bool) -> str:
    text = "–" if value is None else value if isinstance(value, _Html) else escape(str(value))
    return f'<td class="n">{text}</td>' if is_number else f"<td>{text}</td>"
