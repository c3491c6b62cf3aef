"""Compares the ledger with the truth, by plain DuckDB queries on the published file, as an analyst would.

Each finding is a sentence; no finding means success.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pfo_pipeline.alerts.notify import ALERTS
from pfo_pipeline.contracts.workflows import REFRESH_OPENBANKING_BALANCES, SYNC_OPENBANKING_ACCOUNTS
from pfo_pipeline_tests.simulation.book import After, Figure, Health, Version
from pfo_pipeline_tests.simulation.discretion import indiscretions
from pfo_pipeline_tests.simulation.episodes import WAITS_FOR_A_PERSON
from pfo_pipeline_tests.simulation.identities import Identities
from pfo_pipeline_tests.simulation.play import Look, Played
from pfo_pipeline_tests.simulation.world import TENANT

LOANS = ("loan", "mortgage", "consumercredit", "revolvingcredit")
_MOMENTS = 4
_OPERATIONS = {
    "sync": SYNC_OPENBANKING_ACCOUNTS.step("sync-accounts").operation.key,
    "refresh": REFRESH_OPENBANKING_BALANCES.step("refresh-balances").operation.key,
}


def judged(played: Played) -> list[str]:
    """All errors in the ledger of a half-year."""
    verified = played.ledger.verify()
    return compared(played, played.ledger.files.published) + [
        f"verify: {finding.about}: {finding.problem}" for finding in verified.findings
    ]


def compared(played: Played, published: Path) -> list[str]:
    """Differences between the book and a published ledger, the alerts or the logs."""
    with duckdb.connect(str(published), read_only=True) as con:
        con.execute("set threads = 1")
        con.execute("set TimeZone = 'UTC'")
        con.execute("use ledger.ledger" if published.stem == "ledger" else f'use "{published.stem}".ledger')
        return [*Judge(played, con).findings(), *indiscretions(played, con)]


@dataclass
class Judge:
    """Checks of one published ledger."""

    played: Played
    con: duckdb.DuckDBPyConnection

    def __post_init__(self) -> None:
        self.book = self.played.book
        ids = {
            account: int(source) for account, source in self.ask("select account_id, source_id from accounts_latest")
        }
        self.ids = defaultdict(int, ids)  # The id of no account, which is never expected.
        self.identities = Identities(self.played)
        self.loads: list[tuple[Any, ...]] = self.ask(
            "select load_id, run_id, operation, complete, failed, recorded_at from loads where tenant_id = ? order by 1",
            TENANT,
        )

    def ask(self, query: str, *values: object) -> list[Any]:
        return self.con.execute(query, values).fetchall()

    def findings(self) -> Iterator[str]:
        yield from self._accounts()
        yield from self._balances()
        yield from self._sameness()
        yield from self._quarantine()
        yield from self._after_each_reading()
        yield from self._again()
        yield from self._alerts()
        yield from self._posts()
        for at, known_at in self._moments():
            yield from self._as_of(at, known_at)
        yield from self._positions()

    def _accounts(self) -> Iterator[str]:
        """Every version of every account exactly once, and no other."""
        found = Counter(
            (int(source), run, member, int(connection), *rest[:-3], *map(_utc, rest[-3:]))
            for source, run, member, connection, *rest in self.ask(
                """
                select source_id, run_id, user_id, connection_id, account_type, currency, display_name, number, iban,
                    connection_source_id, ended_by, disabled_at, deleted_at, missing_since
                from accounts where tenant_id = ?
                """,
                TENANT,
            )
        )
        expected = Counter((number, run, *_facts(version)) for number, run, version in self.book.versions)
        yield from _differences("accounts", expected, found)

    def _balances(self) -> Iterator[str]:
        """Every readable balance exactly once, with the run that read it, and no other."""
        found = Counter(
            (int(source), run, _utc(as_of), int(connection), currency, balance, available)
            for source, run, as_of, connection, currency, balance, available in self.ask(
                """
                select source_id, run_id, as_of, connection_id, currency, current_balance, available_balance
                from balances where tenant_id = ?
                """,
                TENANT,
            )
        )
        expected = Counter(
            (number, run, as_of, figure.connection, figure.currency, figure.balance, figure.available)
            for number, run, as_of, figure in self.book.figures
        )
        yield from _differences("balances", expected, found)
        newest = {number: self.book.newest(number) for number in self.book.accounts}
        held = {number: (figure[0], figure[1].balance) for number, figure in newest.items() if figure}
        latest = {
            int(source): (_utc(as_of), balance)
            for source, as_of, balance in self.ask(
                "select source_id, as_of, current_balance from balances_latest where tenant_id = ?", TENANT
            )
        }
        yield from _differences("balances_latest", Counter(held.items()), Counter(latest.items()))

    def _sameness(self) -> Iterator[str]:
        """Matched accounts, and the proposals to a person."""
        found = {
            (self.ids[account], self.ids[canonical])
            for account, canonical in self.ask("select account_id, canonical_id from account_identity")
        }
        expected = {(number, self.identities.root(number)) for number in self.book.accounts}
        yield from _differences("identities", Counter(expected), Counter(found))
        proposed = {
            (self.ids[account], self.ids[other])
            for account, other in self.ask("select account_id, same_as from identities_proposed")
        }
        yield from _differences("proposals", Counter(self.identities.proposed()), Counter(proposed))
        newest = self.ask(
            "select account_id, max_by(decided_by, load_id) from identities where tenant_id = ? group by 1", TENANT
        )
        decided = {self.ids[account] for account, by in newest if by == "operator"}
        for number in self.played.decisions.keys() - decided:
            yield f"identities: the operator's decision on {number} was overridden"

    def _quarantine(self) -> Iterator[str]:
        found = self.ask(
            "select record, source_id, min(load_id) from quarantine where tenant_id = ? group by all", TENANT
        )
        first = {(record, source): load for record, source, load in found}
        for run, record, number in sorted(self.book.put_aside):
            last_load = max(load for load, run_id, *_ in self.loads if run_id == run)
            if first.get((record, str(number)), last_load + 1) > last_load:
                yield f"quarantine: {record} {number}, unreadable in {run}, is not in it"

    def _after_each_reading(self) -> Iterator[str]:
        """The visible results of each reading: members, connections, failures."""
        users = self._versions("users", "user_id", "status")
        connections = self._versions("connections", "connection_id", "status, state, who_acts")
        for after in self.book.afterwards:
            run, operation = after.reading.run_id, _OPERATIONS[after.reading.work]
            loads = [load for load in self.loads if load[1:3] == (run, operation)]
            if not loads or not loads[-1][3]:
                yield f"loads: {run} has no complete load of {operation}"
                continue
            load_id, failed = loads[-1][0], loads[-1][4]
            if after.has_trouble != (failed > 0):
                yield f"loads: {run} counts {failed} failed, and there was {'some' if after.has_trouble else 'no'} trouble"
            yield from self._members(after, users, load_id)
            yield from self._connections(after, connections, load_id)

    def _members(self, after: After, users: list[Any], load_id: int) -> Iterator[str]:
        now = {user: rest for _, user, *rest in (row for row in users if row[0] <= load_id)}
        for member in after.reading.members:
            status = now.get(member, ["nothing"])[0]
            if after.reading.is_read(member) != (status == "ok"):
                yield f"users: after {after.reading.run_id} {member} is {status}"

    def _connections(self, after: After, connections: list[Any], load_id: int) -> Iterator[str]:
        now = {int(number): rest for _, number, *rest in (row for row in connections if row[0] <= load_id)}
        if now.keys() != after.health.keys():
            yield f"connections: after {after.reading.run_id} {sorted(now)}, not {sorted(after.health)}"
            return
        for number, health in after.health.items():
            status, state, who_acts = now[number]
            is_right = (status == "healthy", status == "gone") == (health.is_healthy, health.is_gone)
            is_named = health.is_healthy or (who_acts is not None and (health.state is None or health.state == state))
            if not is_right or not is_named:
                told = f"{status}, state {state}, {who_acts} acts"
                yield f"connections: after {after.reading.run_id} {number} is {told}; should be {health}"

    def _versions(self, table: str, key: str, facts: str) -> list[Any]:
        return self.ask(f"select load_id, {key}, {facts} from {table} where tenant_id = ? order by load_id", TENANT)  # noqa: S608

    def _again(self) -> Iterator[str]:
        """A second read of the same data wrote nothing."""
        for run, added in self.ask("select run_id, sum(added) from loads where tenant_id = ? group by 1", TENANT):
            if run in self.played.again and added:
                yield f"loads: {run} read the same once more and wrote {added} rows"

    def _alerts(self) -> Iterator[str]:
        """At each look the log has exactly the true conditions open; no attempt is missing."""
        open_now: set[tuple[str, str, str]] = (
            set()
        )  # A condition with a new owner is over for the old owner and new for the other.
        told = self._told()
        for look in self.played.looks:
            at = look.at.isoformat(timespec="seconds")
            news = [
                (line["event"], (line["kind"], line["thing"], line["who_acts"])) for line in told if line["at"] == at
            ]
            open_now |= {thing for event, thing in news if event != "resolved"}
            open_now -= {thing for event, thing in news if event == "resolved"}
            needed, possible = self._conditions(look)
            yield from (
                f"alerts: at {at} {thing} is not told" for thing in sorted(needed - {thing[:2] for thing in open_now})
            )
            opened = {
                thing[:2] for event, thing in news if event == "opened" and thing[0] in ("run", "consent", "connection")
            }
            yield from (f"alerts: at {at} {thing} is told and not true" for thing in sorted(opened - possible))
        yield from self.played.runner.gave_up_early

    def _conditions(self, look: Look) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Conditions that must be notified at a look, and those that may be: the bank decides who must act on a failing
        connection.
        """
        failed = self.played.runner.refused_runs | {
            after.reading.run_id
            for after in self.book.afterwards
            if not any(map(after.reading.is_read, after.reading.members))
        }
        newest = {job: run for run, job in self.played.runner.ended[: look.runs]}
        needed = {("run", job) for job, run in newest.items() if run in failed}
        possible = set(needed)
        for number, health in (look.health or {}).items():
            if _stage(health, look.at) is not None:
                needed.add(("consent", str(number)))
            if health.state in WAITS_FOR_A_PERSON and not health.is_gone:
                needed.add(("connection", str(number)))
            if not health.is_healthy and not health.is_gone:
                possible.add(("connection", str(number)))
        return needed, possible | needed

    def _told(self) -> list[dict[str, Any]]:
        alerts = self.played.ledger.files.data_dir / ALERTS
        return [json.loads(line) for line in alerts.read_text("utf-8").splitlines()] if alerts.exists() else []

    def _posts(self) -> Iterator[str]:
        for posted in self.played.posting.posted:
            if posted.expected != posted.kept:
                yield f"webhooks: {posted.what}: {posted.kept} events were kept, {posted.expected} were sent honestly"

    def _moments(self) -> list[tuple[datetime, datetime]]:
        """Pairs of (true at, known at), from before the first balance to after the last."""
        rng = random.Random(self.played.plan.seed)  # noqa: S311
        start, end = self.played.plan.start, self.played.world.bank.now()
        span = int((end - start).total_seconds())

        def any_moment() -> datetime:
            return start + timedelta(seconds=rng.randint(0, span))

        return [(any_moment(), any_moment()) for _ in range(_MOMENTS)] + [(end, end)]

    def _as_of(self, at: datetime, known_at: datetime) -> Iterator[str]:
        """`balances_as_of`, for any time and as known at any other time."""
        newest: dict[int, tuple[datetime, Decimal]] = {}
        for number, run, as_of, figure in self.book.figures:
            if as_of <= at and self._recorded(run) <= known_at:
                root = self.identities.root(number, known_at)
                best = newest.get(root)
                if best is None or as_of >= best[0]:
                    newest[root] = (as_of, figure.balance)
        found = {
            self.ids[account]: (_utc(as_of), balance)
            for account, as_of, balance in self.ask(
                "select account_id, as_of, current_balance from balances_as_of(?, known_at := ?) where tenant_id = ?",
                at,
                known_at,
                TENANT,
            )
        }
        where = f"balances_as_of({at:%Y-%m-%d %H:%M:%S}, known_at {known_at:%Y-%m-%d %H:%M:%S})"
        yield from _differences(where, Counter(newest.items()), Counter(found.items()))

    def _recorded(self, run: str) -> Any:
        """The time at which a refresh became known."""
        return max(_utc(load[5]) for load in self.loads if load[1] == run and load[2] == _OPERATIONS["refresh"])

    def _positions(self) -> Iterator[str]:
        """Each account once, with its newest balance, and exact totals."""
        newest: dict[int, tuple[datetime | None, Figure | None, Version]] = {}
        for number, version in self.book.accounts.items():
            if not version.is_live:
                continue
            as_of, figure = self.book.newest(number) or (None, None)
            best = newest.get(self.identities.root(number))
            if best is None or best[0] is None or (as_of is not None and as_of > best[0]):
                newest[self.identities.root(number)] = (as_of, figure, version)
        expected = {root: figure.balance if figure else None for root, (_, figure, _) in newest.items()}
        found = {
            self.ids[account]: balance
            for account, balance in self.ask(
                "select account_id, current_balance from positions where tenant_id = ?", TENANT
            )
        }
        yield from _differences("positions", Counter(expected.items()), Counter(found.items()))
        cash: dict[str, Decimal] = {}
        for _, figure, version in newest.values():
            if figure is not None and version.type not in LOANS:
                cash[figure.currency] = cash.get(figure.currency, Decimal(0)) + figure.balance
        totals = self.ask("select currency, current_balance from totals where tenant_id = ?", TENANT)
        found_cash = {currency: total for currency, total in totals if total is not None}
        yield from _differences("totals", Counter(cash.items()), Counter(found_cash.items()))


def _stage(health: Health, now: datetime) -> int | None:
    """The stage of a consent's warning now, in days; None while the end is far away, or if the bank still answers after it."""
    if health.is_gone or health.consent_ends is None:
        return None
    if health.is_healthy and health.synced is not None and health.synced > health.consent_ends:
        return None
    return next((days for days in (0, 1, 7, 14) if health.consent_ends - now <= timedelta(days=days)), None)


def _facts(version: Version) -> tuple[Any, ...]:
    return (
        version.member,
        version.connection,
        version.type,
        version.currency,
        version.name,
        version.number,
        version.iban,
        None if version.source is None else str(version.source),
        version.ended,
        version.disabled,
        version.deleted,
        version.missing,
    )


def _utc(moment: datetime | None) -> Any:
    return None if moment is None else moment.astimezone(UTC)


def _differences(what: str, expected: Counter[Any], found: Counter[Any]) -> Iterator[str]:
    """Unexpected and missing items."""
    yield from (f"{what}: lost {item}" for item in sorted((expected - found).elements(), key=repr))
    yield from (f"{what}: not true, or twice {item}" for item in sorted((found - expected).elements(), key=repr))
