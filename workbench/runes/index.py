"""The index: raw blocks in, runes out, exact as ord; taken back, kept and restored at will.

from workbench import runes
index = runes.Index("mainnet")
events = index.apply(840_000, time, [b"raw transaction"], spent)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from workbench.core.bitcoin import Transaction
from workbench.core.rune import MAX_U32, MAX_U64, NETWORKS, Network, first_rune_height, rune_name
from workbench.core.sentence import spoken
from workbench.core.spent import SpentOutput, read_spent
from workbench.errors import InputError
from workbench.runes.commitments import Origin, Origins, is_p2tr
from workbench.runes.history import (
    block_text,
    events_of,
    first_hash,
    next_hash,
    trust_line,
    trust_sentence,
)
from workbench.runes.ledger import Change, Ledger
from workbench.runes.saying import said_span
from workbench.runes.seen import Seen
from workbench.runes.snapshot import State, Step, dump, load
from workbench.runes.whole import (
    check_distinct,
    check_spent,
    parsed_transaction,
    whole_block,
    whole_number,
)

WINDOW = 100
"""Blocks: deeper than any reorganisation of a chain that anybody trusts."""

Spent = Mapping[str, SpentOutput] | bytes


class Index:
    """The runes of a network after the blocks applied so far: entries, balances and events.

    It is exact from the network's first Runes block, or from any block before which nobody
    held runes. Of the last `window` blocks it remembers enough to take them back, their
    events, and which of their outputs a commitment may spend.
    """

    def __init__(self, network: Network = "mainnet", *, window: int = WINDOW) -> None:
        if network not in NETWORKS:
            raise InputError.field("network", network, ", ".join(NETWORKS))
        window = whole_number("window", window, 1, 10_000)
        self._take(State(ledger=Ledger(network), window=window))

    def _take(self, state: State) -> None:
        self._ledger, self._first, self._tip = state.ledger, state.first, state.tip
        self._hashes, self._steps = state.hashes, state.steps
        self._seen, self._trust = Seen(state.window, state.seen), state.trust

    @property
    def network(self) -> Network:
        return self._ledger.network

    @property
    def window(self) -> int:
        """How many of the last blocks can be taken back."""
        return self._seen.window

    @property
    def first_height(self) -> int | None:
        """The first block applied, or the one whose state was taken over; None before it."""
        return self._first

    @property
    def height(self) -> int | None:
        """The last block applied; None before the first one."""
        return None if self._first is None else self._first + len(self._hashes) - 1

    @property
    def block_hash(self) -> str | None:
        """The hash of the last block, where it came by `apply_block`; else None."""
        return self._tip

    def hash_at(self, height: int) -> str | None:
        """The hash of a block that can be taken back, or of the one below them; else None."""
        if height == self.height:
            return self._tip
        return next((step.below for step in self._steps if step.height == height + 1), None)

    @property
    def trusted(self) -> str | None:
        """The sha256 of what the first state was taken over from, where it was not computed."""
        return self._trust

    @property
    def doubts(self) -> list[dict[str, Any]]:
        """Etchings that were not honoured because nobody said what they spend, in order."""
        return [
            {"rune_id": str(doubt.id), "txid": doubt.txid, "name": rune_name(number)}
            for number, doubt in self._ledger.doubts.items()
        ]

    @property
    def completeness(self) -> str:
        """`state`, or `runestone` where there are doubts."""
        return "runestone" if self._ledger.doubts else "state"

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened in the blocks that can be taken back, in order."""
        return [event for step in self._steps for event in events_of(step.text)]

    def entries(self) -> list[dict[str, Any]]:
        """Every rune by rising id; amounts are decimal strings in atomic units."""
        following = 0 if self.height is None else self.height + 1
        return [entry.document(following) for entry in self._ledger.entries.values()]

    def balances(self) -> dict[str, list[list[str]]]:
        """What lies where: `txid:vout` to pairs of rune id and amount, both sorted."""
        held = self._ledger.balances
        return {
            outpoint: [[str(rune), str(amount)] for rune, amount in held[outpoint]]
            for outpoint in sorted(held)
        }

    def apply(
        self,
        height: int,
        time: int,
        transactions: Iterable[bytes | Transaction],
        spent: Spent | None = None,
    ) -> list[dict[str, Any]]:
        """Apply the block at `height`, and give its events.

        `time` is the header's, in seconds since the epoch; `spent` the outputs that the block
        spends, by `txid:vout` (`read_spent`'s document is taken too). A commitment
        to an output that is neither there nor among those of the last `window` blocks is a
        doubt. Raises InputError, and then has changed nothing.
        """
        height = whole_number("height", height, 0, MAX_U64)
        time = whole_number("time", time, 0, MAX_U32)
        if not isinstance(transactions, Iterable) or isinstance(transactions, bytes | str):
            raise InputError.field("transactions", transactions, "the raw bytes of each")
        parsed = [parsed_transaction(height, place, one) for place, one in enumerate(transactions)]
        return self._apply(height, time, parsed, spent, None)

    def apply_block(self, raw: bytes, spent: Spent | None = None) -> list[dict[str, Any]]:
        """Apply a whole raw block, and give its events.

        It is held against its work and the network's least, and must follow the block before.
        """
        block = whole_block(self.network, raw)
        if block.height is None:
            raise InputError(
                "block {hash} does not state its height: give its transactions to apply()",
                hash=block.hash,
            )
        if block.hash in {self._tip, *(step.below for step in self._steps)}:
            raise InputError(
                "block {hash} at height {height} is applied already: give the one after {last}",
                hash=block.hash,
                height=block.height,
                last=self.height,
            )
        if self._tip is not None and block.previous != self._tip:
            raise InputError(
                "block {hash} at height {height} follows {previous}, the index ends with {tip}: "
                "rewind() to the last block that both chains have",
                hash=block.hash,
                height=block.height,
                previous=block.previous,
                tip=self._tip,
            )
        return self._apply(block.height, block.time, block.transactions, spent, block.hash)

    def _apply(
        self,
        height: int,
        time: int,
        transactions: Iterable[Transaction],
        spent: Spent | None,
        tip: str | None,
    ) -> list[dict[str, Any]]:
        if self.height is not None and height != self.height + 1:
            raise InputError(
                "block {height} does not follow block {last}: apply block {next}, "
                "or rewind() to take blocks back",
                height=height,
                last=self.height,
                next=self.height + 1,
            )
        check_spent(spent)
        parsed = tuple(transactions)
        check_distinct(height, parsed)
        change = Change(height)
        self._seen.add(height, parsed)
        try:
            find = self._finder(height, parsed, spent)
            applied = self._ledger.apply(height, time, parsed, find, change)
            runic = height >= first_rune_height(self.network)
            text = block_text(height, time, applied) if runic else ""
            events = events_of(text)
        except BaseException:
            self._ledger.revert(change)
            self._seen.drop_from(height)
            raise
        before = self._hashes[-1] if self._hashes else first_hash(self.network)
        self._first = height if self._first is None else self._first
        self._hashes.append(next_hash(before, text) if text else before)
        self._steps.append(Step(height, self._tip, text, change))
        self._steps = self._steps[-self.window :]
        self._tip = tip
        self._seen.prune(height)
        return events

    def _finder(
        self, height: int, transactions: tuple[Transaction, ...], spent: Spent | None
    ) -> Origins:
        """Finds an output: among those that this index saw made, else in `spent`."""
        if isinstance(spent, bytes):
            puts = [put for one in transactions if not one.is_coinbase for put in one.inputs]
            spent = read_spent(spent, [put.outpoint for put in puts])

        def find(outpoint: str) -> Origin | None:
            seen = self._seen.find(outpoint, height)
            given = None if spent is None or seen else spent.get(outpoint)
            if given is None:
                return seen
            if not isinstance(given, SpentOutput):
                allowed = "a SpentOutput, as read_spent gives them"
                raise InputError.field(f"spent[{outpoint!r}]", given, allowed)
            return Origin(is_p2tr(given.script), given.height)

        return find

    def rewind(self, height: int) -> None:
        """Take back every block above `height`, as a reorganisation does.

        Raises InputError for a height that lies above the last block or below the window.
        """
        height = whole_number("height", height, 0, MAX_U64)
        last = self.height
        if last is None:
            raise InputError("the index holds no block to take back: apply one")
        lowest = last - len(self._steps)
        if not lowest <= height <= last:
            raise InputError(
                "block {height} cannot be gone back to; allowed: {lowest} to {last}: "
                "restore an older snapshot, or build the index anew",
                height=height,
                lowest=max(lowest, 0),
                last=last,
            )
        while self._steps and self._steps[-1].height > height:
            step = self._steps[-1]
            self._ledger.revert(step.change)
            self._seen.drop_from(step.height)
            self._tip = step.below
            del self._hashes[-1], self._steps[-1]
        if not self._hashes:
            self._first = None

    def state_hash(self, height: int | None = None) -> str:
        """64 hexadecimal digits over everything that the runes did up to `height`.

        Two indexes that began at the same block agree if and only if these do. Without a
        height: of the last block. Raises InputError where there are doubts.
        """
        first, last = self._first, self.height
        if first is None or last is None:
            raise InputError("the index has no state hash before its first block: apply one")
        asked = whole_number("height", last if height is None else height, first, last)
        doubt = next(iter(self._ledger.doubts.items()), None)
        if doubt and doubt[1].id.block <= asked:
            raise InputError(
                "the state at block {height} is not known: the etching of {name} in {txid} "
                "spends an output that was not given; rewind() below block {block}, "
                "and apply it again with `spent`",
                height=asked,
                name=rune_name(doubt[0]),
                txid=doubt[1].txid,
                block=doubt[1].id.block,
            )
        return self._hashes[asked - first].hex()

    def snapshot(self) -> bytes:
        """The whole index as bytes, for `restore`; the same state gives the same bytes."""
        return dump(
            State(
                ledger=self._ledger,
                window=self.window,
                first=self._first,
                tip=self._tip,
                hashes=self._hashes,
                steps=self._steps,
                seen=self._seen.blocks,
                trust=self._trust,
            )
        )

    @classmethod
    def restore(cls, snapshot: bytes) -> Index:
        """The index that gave the snapshot. Raises InputError for what is damaged or foreign."""
        return cls.of(load(snapshot))

    @classmethod
    def of(cls, state: State) -> Index:
        """The index that holds a state, which nobody else changes from here on."""
        index = cls.__new__(cls)
        index._take(state)
        return index

    def remember(self, raw: bytes) -> None:
        """Take note of what a block made that lies at or just below the one whose state was taken
        over: its runes are in that state, and later commitments may spend its outputs.

        Raises InputError for any other block, and once a block was applied.
        """
        block, at = whole_block(self.network, raw), self.height
        if self._trust is None or at is None or len(self._hashes) > 1:
            raise InputError("only an index that just took over a state has blocks to remember")
        lowest = max(at - self.window + 1, 0)
        height = whole_number(f"the height of block {block.hash}", block.height, lowest, at)
        self._seen.add(height, block.transactions)
        self._tip = block.hash if height == at else self._tip

    def facts(self) -> dict[str, str]:
        """Where it stands, in words."""
        facts = {
            "network": self.network,
            "blocks": "none" if self._first is None else said_span(self._first, self.height),
            "runes": f"{len(self._ledger.entries):,}",
            "outputs held": f"{len(self._ledger.balances):,}",
        }
        if self._trust is not None:
            facts["trust"] = trust_line(trust_sentence(self._trust))
        if self._ledger.doubts:
            facts["doubts"] = f"{len(self._ledger.doubts):,}"
        elif self._first is not None:
            facts["state hash"] = self.state_hash()
        return facts

    def __repr__(self) -> str:
        return f"Index({', '.join(f'{name}: {said}' for name, said in self.facts().items())})"

    def _repr_html_(self) -> str:
        speech = spoken()
        rows = "".join(
            f"<tr><th scope='row'>{escape(speech.say(name))}</th>"
            f"<td>{escape(speech.text(said))}</td></tr>"
            for name, said in self.facts().items()
        )
        return f"<table><caption>{escape(speech.say('Runes index'))}</caption>{rows}</table>"
