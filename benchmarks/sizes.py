"""Sizes of the benchmarks: the full one, and a small one that only shows that the benchmarks work."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BankSize:
    """One user's connections and the accounts spread evenly over them."""

    connections: int
    accounts: int


@dataclass(frozen=True)
class LedgerSize:
    """A ledger in which every account has a balance on every day. `days` of `accounts` rows each."""

    accounts: int
    days: int

    @property
    def balances(self) -> int:
        return self.accounts * self.days


@dataclass(frozen=True)
class Sizes:
    """Repetitions are counted per compared side; medians are taken over them. `ledgers` from small to large."""

    load: BankSize
    load_repetitions: int
    further_identical_loads: int
    ledgers: tuple[LedgerSize, ...]
    changed_rows: int
    merge_repetitions: int
    query_repetitions: int
    publication_repetitions: int
    household: BankSize
    start_up_repetitions: int
    with_profiles: bool
    """Whether a unit that misses its aim is run again under a profiler."""


FULL = Sizes(
    load=BankSize(connections=200, accounts=1_000),
    load_repetitions=5,
    further_identical_loads=10,
    ledgers=(LedgerSize(100_000, 1), LedgerSize(100_000, 10), LedgerSize(100_000, 100)),
    changed_rows=1_000,
    merge_repetitions=5,
    query_repetitions=3,
    publication_repetitions=3,
    household=BankSize(connections=4, accounts=12),
    start_up_repetitions=5,
    with_profiles=True,
)

QUICK = Sizes(
    load=BankSize(connections=4, accounts=12),
    load_repetitions=1,
    further_identical_loads=1,
    ledgers=(LedgerSize(100, 1), LedgerSize(100, 3)),
    changed_rows=10,
    merge_repetitions=1,
    query_repetitions=1,
    publication_repetitions=1,
    household=BankSize(connections=2, accounts=3),
    start_up_repetitions=1,
    with_profiles=False,
)
