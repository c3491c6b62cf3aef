"""Syncs, movements of balances, and the ends of consents and tokens, as the clock moves.

Facts: Powens docs, Connections. One automatic sync per 24 h; `last_update` does not change while syncs fail; an ended consent
becomes `SCARequired` without an attempt. Bank accounts: `coming` is the sum of the operations not yet debited, and no part
of `balance`. Assumed: an operation takes one to four days to post, and one announcement in eight is dropped.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal

from pfo_pipeline.simulator import domains, webhook_events
from pfo_pipeline.simulator.catalogue import precision_of
from pfo_pipeline.simulator.dice import pick, swing
from pfo_pipeline.simulator.paris_time import next_daily, paris_day
from pfo_pipeline.simulator.state import Domain, Pending, RunningSync, World, WorldAccount, WorldConnection
from pfo_pipeline.simulator.truth import note_figure

DAYS_TO_POST = (1, 4)
ONE_DROPPED_IN = 8


def announce_purchases(account: WorldAccount, key: tuple[object, ...], day: date) -> None:
    """Add a day's purchases to the pending operations: on every other day at least one, always an expense."""
    if not pick(0, 1, "purchase", *key, day):
        return
    amount = -abs(swing(account.swing, precision_of(account.currency), "purchase amount", *key, day))
    due = day + timedelta(days=pick(*DAYS_TO_POST, "purchase due", *key, day))
    dropped = pick(1, ONE_DROPPED_IN, "purchase dropped", *key, day) == 1
    account.pending.append(Pending(amount, due, dropped))


def settle(account: WorldAccount, day: date) -> None:
    """Post or drop the operations that are due up to a day; the others remain in `coming`."""
    if not account.announces:
        return
    due = [item for item in account.pending if item.due <= day]
    account.pending = [item for item in account.pending if item.due > day]
    if account.balance is not None:
        account.balance += sum((item.amount for item in due if not item.dropped), Decimal(0))
    account.coming = sum((item.amount for item in account.pending), Decimal(0))


# States that Powens itself tries to leave; all others wait for a person or for support.
TEMPORARY_STATES = frozenset({"rateLimiting", "websiteUnavailable", "bug", "validating"})
PASSWORD_RETRY = timedelta(days=7)
CONSENT = timedelta(days=180)


def advance(world: World) -> datetime:
    """Play all events that are due up to the clock, and return the clock's time."""
    now = world.clock.now()
    if now > world.advanced_to:
        for domain in world.domains.values():
            domains.expire(domain, now)
            for connection in domain.connections.values():
                _advance_connection(world, domain, connection, now)
        world.advanced_to = now
    return now


def start_sync(world: World, domain: Domain, connection: WorldConnection, *, outcome: str | None) -> None:
    """Start a sync that ends in the state `outcome` once the clock has moved on."""
    now = world.clock.now()
    connection.forced_at = now
    finishes = now + timedelta(seconds=domain.settings.sync_seconds)
    connection.running = RunningSync(finishes, outcome)


def may_force(world: World, domain: Domain, connection: WorldConnection) -> bool:
    """Whether a sync may be forced now: none is running, and the last one is old enough."""
    if connection.running is not None:
        return False
    interval = timedelta(seconds=domain.settings.forced_sync_interval_seconds)
    recent = [moment for moment in (connection.last_update, connection.forced_at) if moment is not None]
    return all(world.clock.now() - moment >= interval for moment in recent)


def set_state(connection: WorldConnection, state: str | None, now: datetime) -> None:
    """Put a connection and its enabled sources in a state, with the state's retry time."""
    connection.state = state
    if state is None:
        connection.error_message = None
        connection.fields = None
    connection.next_try = _planned_try(connection, state, now)
    for source in connection.sources:
        source.state = state
        source.error_message = connection.error_message
        source.next_try = connection.next_try


def renew_consent(connection: WorldConnection, now: datetime) -> None:
    """Record a new consent for another 180 days."""
    connection.expire = now + CONSENT
    for source in connection.sources:
        source.expire = connection.expire


def has_lapsed(connection: WorldConnection, at: datetime) -> bool:
    """Whether the consent has ended."""
    return connection.expire is not None and connection.expire <= at


def move_balance(world: World, domain: Domain, account: WorldAccount, day: date) -> None:
    """Move the balance to `day` by the moves of the days between."""
    if account.balance is None:
        return
    precision = precision_of(account.currency)
    key = _walk_key(world, domain, account)
    while account.moved_to < day:
        account.moved_to += timedelta(days=1)
        account.balance += swing(account.swing, precision, *key, account.moved_to)
        if account.buys:
            announce_purchases(account, key, account.moved_to)
        settle(account, account.moved_to)
    if account.announces:
        settle(account, day)
    elif account.coming is not None and account.swing:
        account.coming = -abs(swing(account.swing, precision, "coming", world.seed, account.id, day))


def _walk_key(world: World, domain: Domain, account: WorldAccount) -> tuple[object, ...]:
    """Key of the random walk: one bank account in two connections has one balance."""
    return (world.seed, domain.name, account.identity)


def _advance_connection(world: World, domain: Domain, connection: WorldConnection, until: datetime) -> None:
    while True:
        running, planned = connection.running, connection.next_try
        # Only times after the last call: a `next_try` set in the past stays unchanged.
        due = planned if planned and world.advanced_to < planned <= until and connection.active else None
        if running and running.finishes <= until and (due is None or running.finishes <= due):
            connection.running = None
            _finish_sync(world, domain, connection, running)
        elif due:
            sync_automatically(world, domain, connection, due)
        else:
            return


def _finish_sync(world: World, domain: Domain, connection: WorldConnection, sync: RunningSync) -> None:
    if sync.outcome is None:
        if connection.state is None:
            # A source may fail under a healthy connection, and continues to fail.
            connection.next_try = next_daily(connection.sync_time, sync.finishes)
        else:
            set_state(connection, None, sync.finishes)
        _take_data(world, domain, connection, sync.finishes, forced=True)
    else:
        message = connection.error_message
        set_state(connection, sync.outcome, sync.finishes)
        connection.error_message = message
    _announce_sync(domain, connection, sync.finishes)


def sync_automatically(world: World, domain: Domain, connection: WorldConnection, at: datetime) -> None:
    """Run the daily sync at any time: data arrives, or the state stays and is reported again."""
    if connection.state is None and has_lapsed(connection, at):
        set_state(connection, "SCARequired", at)
    elif connection.state is None:
        connection.next_try = next_daily(connection.sync_time, at)
        _take_data(world, domain, connection, at, forced=False)
    elif connection.state == "wrongpass":
        connection.next_try = at + PASSWORD_RETRY
    else:
        connection.next_try = next_daily(connection.sync_time, at)
    for source in connection.sources:
        source.next_try = connection.next_try
    _announce_sync(domain, connection, at)


def _announce_sync(domain: Domain, connection: WorldConnection, at: datetime) -> None:
    announce = webhook_events.synced if connection.state is None else webhook_events.sync_failed
    announce(domain, connection, at)


def _take_data(world: World, domain: Domain, connection: WorldConnection, at: datetime, *, forced: bool) -> None:
    """Make the bank's balances of `at` visible on the connection, its working sources and its accounts."""
    connection.last_update = at
    connection.last_push = at + timedelta(seconds=7)
    silent = {source.id for source in connection.sources if source.state is not None or source.disabled is not None}
    for source in connection.sources:
        if source.id not in silent:
            source.last_update = at
    for account in domain.accounts_of(connection.id_user, connection.id):
        if not account.visible or account.id_source in silent:
            continue
        was_known, account.known = account.known, True
        # Seen live: the account's timestamp is slightly before its connection's.
        account.last_update = at - account.lag
        move_balance(world, domain, account, paris_day(account.last_update))
        if account.balance is not None:
            account.balance += account.unseen
            account.unseen = Decimal(0)
        if forced and was_known:
            _move_within_the_day(world, domain, account, at)
        note_figure(account, at)


def _move_within_the_day(world: World, domain: Domain, account: WorldAccount, at: datetime) -> None:
    """Add a movement since the last sync, which other connections will see at their own syncs."""
    if account.balance is None:
        return
    precision = precision_of(account.currency)
    change = swing(account.swing / 4, precision, "forced", world.seed, domain.name, account.id, at)
    account.balance += change
    for other in domain.accounts.values():
        if other is not account and other.identity == account.identity:
            other.unseen += change


def _planned_try(connection: WorldConnection, state: str | None, now: datetime) -> datetime | None:
    retried = state is None or state in TEMPORARY_STATES
    return next_daily(connection.sync_time, now) if retried else None


def default_swing(account_type: str, balance: Decimal | None) -> Decimal:
    """Largest daily move of a balance: large on everyday accounts, zero on loans and cards."""
    share = {"checking": "0.02", "joint": "0.02", "market": "0.012", "pea": "0.012", "lifeinsurance": "0.004"}
    if balance is None:
        return Decimal(0)
    return abs(balance) * Decimal(share.get(account_type, "0"))
