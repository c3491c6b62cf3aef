"""(c) The published macros and views at the largest size, compared with handwritten SQL and a scan of the same columns.

The scan computes the maximum of each column of the query, under the same conditions on times: the cost of reading without
grouping. For the latest balances it returns the rows unchanged. The handwritten SQL is what an analyst would write without
the macro.
"""

from dataclasses import dataclass
from datetime import timedelta

from benchmarks.history import FIRST_DAY
from benchmarks.ledgers import FilledLedger, Tell
from benchmarks.measuring import Measured, run_unit
from benchmarks.results import Comparison, Figure, Part, figure, is_missed, times
from benchmarks.sizes import LedgerSize, Sizes

SIDES = ("published", "by hand", "scan")
_NEWEST = "qualify row_number() over (partition by tenant_id, account_id order by as_of desc, load_id desc) = 1"
_ACCOUNT = "acc_00000000000000000007"
_AS_OF = (
    "tenant_id",
    "account_id",
    "as_of",
    "recorded_at",
    "currency",
    "current_balance",
    "available_balance",
    "run_id",
    "load_id",
)
_CASH = ("tenant_id", "account_id", "as_of", "recorded_at", "currency", "current_balance", "load_id")


@dataclass(frozen=True)
class Question:
    """The same answer in three ways; `scan` reads the same columns without an answer."""

    name: str
    published: str
    by_hand: str
    scan: str

    def sql(self, side: str) -> str:
        return {"published": self.published, "by hand": self.by_hand, "scan": self.scan}[side]


def measure(sizes: Sizes, ledger: FilledLedger, tell: Tell) -> Part:
    run_unit("publish", data_dir=str(ledger.folder))
    asked = questions(ledger.size)
    found: dict[tuple[str, str], list[Measured]] = {}
    for repetition in range(sizes.query_repetitions):
        tell(f"queries, repetition {repetition + 1}")
        for question in asked:
            for side in SIDES:
                found.setdefault((question.name, side), []).append(_ask(ledger, question, side))
    figures = {
        key: figure(f"{key[0]}, {key[1]}", runs, {"rows": runs[-1].facts["rows"]}) for key, runs in found.items()
    }
    comparisons = [line for question in asked for line in _comparisons(question.name, figures)]
    profiles: dict[str, tuple[str, ...]] = {}
    for question in asked:
        if sizes.with_profiles and is_missed(_comparisons(question.name, figures)):
            tell(f"explaining {question.name}")
            profiles[question.name] = tuple(_ask(ledger, question, "published", explain=True).facts["operators"])
    return Part("c", f"Queries at {ledger.name}", tuple(figures.values()), tuple(comparisons), profiles)


def _ask(ledger: FilledLedger, question: Question, side: str, *, explain: bool = False) -> Measured:
    return run_unit("query", data_dir=str(ledger.folder), sql=question.sql(side), explain=explain)


def _comparisons(name: str, figures: dict[tuple[str, str], Figure]) -> tuple[Comparison, ...]:
    mine, by_hand, scan = (figures[name, side] for side in SIDES)
    assert mine.facts["rows"] == by_hand.facts["rows"], f"{name}: not the same answer"
    return (
        times(f"{name}, published / scan, CPU", mine.cpu_seconds, scan.cpu_seconds, 2),
        times(f"{name}, published / scan, wall time", mine.wall_seconds, scan.wall_seconds),
        times(f"{name}, published / by hand, CPU", mine.cpu_seconds, by_hand.cpu_seconds),
    )


def questions(size: LedgerSize) -> tuple[Question, ...]:
    """Queries about now, the middle of the history, and the middle as it was known then."""
    now, middle = (_moment(day) for day in (size.days, size.days // 2))
    before = f"as_of <= {middle} and recorded_at <= {middle}"
    return (
        Question(
            "latest balances",
            "from balances_latest",
            f"from balances {_NEWEST}",
            "select columns(*) from balances_current",
        ),
        Question(
            "cash position now", f"from cash_position({now})", _cash(f"as_of <= {now}"), _scan(_CASH, f"as_of <= {now}")
        ),
        Question(
            "cash position in the middle",
            f"from cash_position({middle}, known_at := {middle})",
            _cash(before, middle),
            _scan(_CASH, before),
        ),
        Question(
            "balances as of now",
            f"from balances_as_of({now})",
            _as_of(f"as_of <= {now}"),
            _scan(_AS_OF, f"as_of <= {now}"),
        ),
        Question(
            "balances as of the middle",
            f"from balances_as_of({middle}, known_at := {middle})",
            _as_of(before),
            _scan(_AS_OF, before),
        ),
        Question(
            "history of one account",
            f"from balance_history('{_ACCOUNT}')",
            f"from balances where account_id = '{_ACCOUNT}' order by as_of, load_id",
            f"select max(columns(*)) from balances where account_id = '{_ACCOUNT}'",  # noqa: S608
        ),
    )


def _moment(day: int) -> str:
    """Noon after a day's load, as SQL."""
    return f"'{(FIRST_DAY + timedelta(days=day, hours=12)).isoformat()}'::timestamptz"


def _scan(columns: tuple[str, ...], condition: str) -> str:
    return f"select {', '.join(f'max({name})' for name in columns)} from balances where {condition}"  # noqa: S608


def _as_of(condition: str) -> str:
    return (
        "select tenant_id, account_id, as_of, recorded_at, currency, current_balance, available_balance, run_id "  # noqa: S608
        f"from balances where {condition} {_NEWEST}"
    )


def _cash(condition: str, known_at: str = "'infinity'::timestamptz") -> str:
    """The sum by currency over accounts known by then and neither disabled nor deleted."""
    return (
        "select b.tenant_id, b.currency, sum(b.current_balance) as total, count(*) as accounts, min(b.as_of) as oldest_as_of "  # noqa: S608
        f"from ({_as_of(condition)}) b join ("
        f"from accounts where recorded_at <= {known_at} "
        "qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1"
        ") a using (tenant_id, account_id) where a.disabled_at is null and a.deleted_at is null group by all"
    )
