"""A small world of wallets that etch, mint and move runes, and pay each other, block by block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from workbench.core.bitcoin import Transaction, parse_block, subsidy
from workbench.core.rune import Network, RuneId, commitment
from workbench.core.runestone import MAGIC, Edict, Runestone, encipher, encode_varint
from workbench.core.spent import SpentOutput
from workbench.runes.commitments import origins
from workbench.runes.ledger import Ledger
from workbench.runes.simulation import chain
from workbench.runes.simulation.chain import Coin, Lock
from workbench.runes.simulation.plans import CONFIRM_BLOCKS, Move, Plan, Span
from workbench.runes.simulation.taproot import leaf_output

NETWORK: Network = "regtest"
DUST_SAT = 546
COMMIT_SAT = 10_000
BLOCK_S = 600
START_TIME = 1_735_689_600
"""2025-01-01 00:00:00 UTC, in seconds since the epoch."""

UNKNOWN_EVEN_TAG = 126
MINER = 2**31
Output = tuple[int, bytes]


@dataclass(frozen=True)
class SimulatedBlock:
    """One block and the outputs that it spends, by `txid:vout`."""

    height: int
    raw: bytes
    spent: dict[str, SpentOutput]


class World:
    """Makes the blocks of a history. Coins from before its first block are made up."""

    def __init__(self, random: Random, plans: Sequence[Plan], span: Span, payments: int) -> None:
        self.random = random
        self.plans = plans
        self.span = span
        self.payments = payments
        self.ledger = Ledger(NETWORK)
        self.ids: dict[int, RuneId] = {}
        self.purses: dict[int, list[Coin]] = defaultdict(list)
        self.commits: dict[int, Coin] = {}
        self.holdings: dict[RuneId, list[tuple[Coin, int]]] = defaultdict(list)
        self.previous = self._bytes(32).hex()
        self.time = START_TIME
        self.height = span.first
        self._reset(span.first)

    def blocks(self) -> Iterator[SimulatedBlock]:
        """The blocks of the span, in order."""
        agenda = self._agenda()
        for height in range(self.span.first, self.span.last + 1):
            yield self._block(height, agenda.get(height, []))

    def _agenda(self) -> dict[int, list[Callable[[], None]]]:
        """What is to be done at each height."""
        agenda: dict[int, list[Callable[[], None]]] = defaultdict(list)
        for number, plan in enumerate(self.plans):
            agenda[plan.height - CONFIRM_BLOCKS].append(partial(self._commit, number))
            agenda[plan.height].append(partial(self._reveal, number))
            for move in plan.moves:
                agenda[move.height].append(partial(self._move, number, move))
        for height in range(self.span.first, self.span.last + 1):
            agenda[height].extend([self._pay] * self.payments)
        return agenda

    def _reset(self, height: int) -> None:
        self.height = height
        self.made: list[Transaction] = []
        self.spent: dict[str, SpentOutput] = {}
        self.locks: dict[str, tuple[int, Lock]] = {}
        self.rate = 2.0 + 6.0 * self.random.random()

    def _block(self, height: int, actions: list[Callable[[], None]]) -> SimulatedBlock:
        self._reset(height)
        for action in self._shuffled(actions):
            action()
        fees = sum(output.value for output in self.spent.values())
        fees -= sum(transaction.paid_sat for transaction in self.made)
        reward = subsidy(height, NETWORK) + fees
        script = chain.wallet_lock(MINER).script
        first = chain.coinbase(height, reward, script, b"simulated", self.made)
        self.time += int(BLOCK_S * 2 * self.random.random()) + 1
        self.previous, raw = chain.block(self.previous, self.time, [first, *self.made])
        self._settle(raw)
        return SimulatedBlock(height, raw, self.spent)

    def _settle(self, raw: bytes) -> None:
        """Hold the block against the protocol, and take note of who holds what."""
        transactions = parse_block(raw).transactions
        for applied in self.ledger.apply(self.height, self.time, transactions, origins(self.spent)):
            transaction = applied.transaction
            for output, held in applied.moves.outputs.items():
                outpoint = f"{transaction.txid}:{output}"
                wallet, lock = self.locks[outpoint]
                coin = Coin(outpoint, transaction.outputs[output].value, lock, self.height)
                for rune in held:
                    self.holdings[rune].append((coin, wallet))

    def _commit(self, number: int) -> None:
        """An output whose tapscript holds the name of a rune to come."""
        plan = self.plans[number]
        if plan.commits and plan.etching.rune is not None:
            leaf = leaf_output(chain.dropping(commitment(plan.etching.rune)))
            made = self._send(plan.etcher, [], [(COMMIT_SAT, leaf.output)])
            lock = Lock(leaf.output, (leaf.script, leaf.control))
            self.commits[number] = Coin(f"{made.txid}:0", COMMIT_SAT, lock, self.height)

    def _reveal(self, number: int) -> None:
        plan = self.plans[number]
        committed = [self.commits.pop(number)] if number in self.commits else []
        message = encipher(Runestone(etching=plan.etching, pointer=1))
        self.ids[number] = RuneId(self.height, len(self.made) + 1)
        self._send(plan.etcher, committed, [(0, message), self._dust(plan.etcher)], [plan.etcher])

    def _move(self, number: int, move: Move) -> None:
        rune = self.ids[number]
        if move.what == "mint":
            self._mint(rune, move.wallet)
            return
        coin, owner = self._holding(rune)
        if coin is None:
            return
        if move.what == "airdrop":
            self._airdrop(rune, coin, owner)
        elif move.what == "burn":
            self._burn(rune, coin, owner)
        else:
            self._transfer(rune, coin, owner, move.wallet)

    def _mint(self, rune: RuneId, wallet: int) -> None:
        pointer = 1 if self.random.random() < 0.15 else None
        message = encipher(Runestone(mint=rune, pointer=pointer))
        if self.random.random() < 0.01:
            message = _cenotaph(rune)
        self._send(wallet, [], [(0, message), self._dust(wallet)], [wallet])

    def _transfer(self, rune: RuneId, coin: Coin, owner: int, receiver: int) -> None:
        """A part to the receiver, the rest back; now and then everything."""
        held = dict(self.ledger.balances[coin.outpoint])[rune]
        part = int(held * self.random.random()) if held < 2**50 else held // 3
        edict = Edict(rune, 0 if self.random.random() < 0.3 else part or held, 2)
        outputs = [
            (0, encipher(Runestone(edicts=(edict,)))),
            self._dust(owner),
            self._dust(receiver),
        ]
        self._send(owner, [coin], outputs, [owner, receiver])

    def _airdrop(self, rune: RuneId, coin: Coin, owner: int) -> None:
        """Split over many: an edict whose output is the number of outputs."""
        wallets = [self._wallet() for _ in range(3 + int(12 * self.random.random()))]
        edict = Edict(rune, 0, len(wallets) + 2)
        message = encipher(Runestone(edicts=(edict,)))
        outputs = [(0, message), *(self._dust(wallet) for wallet in wallets)]
        self._send(owner, [coin], outputs, wallets, runic_change=True)

    def _burn(self, rune: RuneId, coin: Coin, owner: int) -> None:
        """On purpose, by an edict to the OP_RETURN output, or by a malformed message."""
        meant = self.random.random() < 0.5
        script = encipher(Runestone(edicts=(Edict(rune, 0, 0),))) if meant else _cenotaph(None)
        self._send(owner, [coin], [(0, script), self._dust(owner)], [owner])

    def _pay(self) -> None:
        payer, receiver = self._wallet(), self._wallet()
        value = 1_000 + int(20_000 * self.random.random())
        made = self._send(payer, [], [(value, chain.wallet_lock(receiver).script)])
        lock = chain.wallet_lock(receiver)
        self.purses[receiver].append(Coin(f"{made.txid}:0", value, lock, self.height))

    def _send(
        self,
        payer: int,
        coins: list[Coin],
        outputs: list[Output],
        receivers: Sequence[int] = (),
        *,
        runic_change: bool = False,
    ) -> Transaction:
        """Spend `coins` and the payer's to `outputs`, with change as the last one.

        `receivers` own the outputs from the second on; `runic_change` says that the change
        receives runes too, so that it is no plain coin.
        """
        rate = self.rate * (1 + 4 * self.random.random() * self.random.random())
        paid = sum(value for value, _ in outputs)
        size_vb = 100 + 70 * (len(coins) + 2) + 45 * len(outputs)
        needed = paid + int(size_vb * rate) + 2 * DUST_SAT
        inputs = [*coins, *self._coins(payer, needed - sum(coin.value for coin in coins))]
        lock = chain.wallet_lock(payer)
        held = sum(coin.value for coin in inputs)
        draft = chain.transaction(inputs, [*outputs, (0, lock.script)])
        change = held - paid - int(draft.vsize * rate)
        made = chain.transaction(inputs, [*outputs, (change, lock.script)])
        self._record(made, inputs, [*receivers, payer] if receivers else [])
        if not runic_change:
            self.purses[payer].append(
                Coin(f"{made.txid}:{len(outputs)}", change, lock, self.height)
            )
        return made

    def _record(self, made: Transaction, inputs: Sequence[Coin], owners: Sequence[int]) -> None:
        self.made.append(made)
        self.spent.update((coin.outpoint, coin.spent) for coin in inputs)
        for place, wallet in enumerate(owners, start=1):
            self.locks[f"{made.txid}:{place}"] = (wallet, chain.wallet_lock(wallet))

    def _coins(self, wallet: int, needed: int) -> list[Coin]:
        """Coins of the wallet worth at least `needed`; an old deposit where it has too few."""
        purse, found = self.purses[wallet], []
        while needed > 0:
            coin = purse.pop() if purse else self._deposit(wallet, needed)
            found.append(coin)
            needed -= coin.value
        return found

    def _deposit(self, wallet: int, needed: int) -> Coin:
        """A coin from before the history."""
        value = max(needed, 60_000) + int(2_000_000 * self.random.random() * self.random.random())
        height = self.span.first - 1 - int(1_000 * self.random.random())
        return Coin(f"{self._bytes(32).hex()}:0", value, chain.wallet_lock(wallet), height)

    def _holding(self, rune: RuneId) -> tuple[Coin | None, int]:
        """An output that holds the rune and that no transaction of this block spends."""
        coins = self.holdings.get(rune, [])
        while coins:
            place = int(len(coins) * self.random.random())
            coins[place], coins[-1] = coins[-1], coins[place]
            coin, owner = coins.pop()
            if coin.outpoint not in self.spent and coin.outpoint in self.ledger.balances:
                return coin, owner
        return None, 0

    def _dust(self, wallet: int) -> Output:
        return DUST_SAT, chain.wallet_lock(wallet).script

    def _wallet(self) -> int:
        return int(self.span.wallets * self.random.random())

    def _bytes(self, count: int) -> bytes:
        return bytes(int(256 * self.random.random()) for _ in range(count))

    def _shuffled(self, actions: list[Callable[[], None]]) -> list[Callable[[], None]]:
        keys = [self.random.random() for _ in actions]
        return [actions[place] for place in sorted(range(len(actions)), key=keys.__getitem__)]


def _cenotaph(mint: RuneId | None) -> bytes:
    """A message with an even tag that nobody knows; it may mint nevertheless."""
    integers = [UNKNOWN_EVEN_TAG, 0]
    if mint:
        integers = [20, mint.block, 20, mint.tx, *integers]
    return MAGIC + chain.push(b"".join(encode_varint(integer) for integer in integers))
