"""`pfo identity` and `pfo seen`: a person's decisions on which linked accounts are one account, and on what changed."""

from collections.abc import Mapping
from typing import Any

import click

from pfo_pipeline.cli.context import Place, find_place, require_admin, select_tenants
from pfo_pipeline.cli.options import (
    TENANT,
    TENANTS,
    complete_accounts,
    complete_connections,
    examples,
    formats,
    without_pandas,
)
from pfo_pipeline.cli.output import print_rows, progress
from pfo_pipeline.contracts.records import plain
from pfo_pipeline.contracts.tables import ChangeRow, DecisionRow
from pfo_pipeline.ledger.known import KnownLink
from pfo_pipeline.ledger.merge import Batch
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.access import OperationRefused
from pfo_pipeline.operations.account_links import Matching
from pfo_pipeline.operations.identities import DIFFERENT, SAME, UNDONE, KnownMatching

COLUMNS = (
    "tenant_id",
    "account_id",
    "same_as",
    "evidence",
    "decided_by",
    "institution",
    "display_name",
    "counts",
    "currency",
    "current_balance",
)

Pair = tuple[str, str]

_RECORDS = """
with counting as (
    select linked_id, counted or reason in ('loan', 'unclassified') as counts from coverage where tenant_id = $tenant
),
shared as (
    select canonical_id from account_identity where tenant_id = $tenant group by canonical_id having count(*) > 1
)
select
    a.account_id, i.canonical_id, coalesce(i.evidence, 'oldest link'), coalesce(i.decided_by, 'evidence'),
    a.institution_name, a.display_name, coalesce(i.counts_as, if(c.counts, 'yes', 'no')), b.currency, b.current_balance
from accounts_latest a
join account_identity i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
left join counting c on c.linked_id = a.account_id
left join balances_current b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
where a.tenant_id = $tenant
    and (i.canonical_id in (from shared) or i.counts_as is not null or i.decided_by = 'operator')
union all
select
    p.account_id, p.other_id, p.evidence, 'proposed', a.institution_name, a.display_name,
    'would no longer', q.currency, if(o.account_id is null, null, q.current_balance)
from proposals_as_of('infinity'::timestamptz) p
join accounts_latest a on a.tenant_id = p.tenant_id and a.account_id = p.account_id
left join positions q on q.tenant_id = p.tenant_id and q.account_id = p.account_id
left join positions o on o.tenant_id = p.tenant_id and o.account_id = p.other_id
where p.tenant_id = $tenant
order by 2, 1
"""


def identity_records(place: Place, tenant_id: str) -> list[dict[str, Any]]:
    """The links of every account that has several or was decided on, and the open proposals.

    The balance of a proposal is what the totals would lose if it were accepted; null where they would stay.
    """

    def record(*values: Any) -> dict[str, Any]:
        found = dict(zip(COLUMNS, (tenant_id, *values), strict=True))
        amount = found["current_balance"]
        return found | {"current_balance": None if amount is None else plain(amount)}

    return place.reader.typed(record, _RECORDS, {"tenant": tenant_id})


def join_accounts(place: Place, tenant_id: str, account_id: str, other_id: str) -> str:
    """Say that two linked accounts are one account.

    Returns:
        The id of the account that they are now.
    Raises: OperationRefused: not an admin, an unknown account, or a person told the two apart.
    """
    known = _known(place, tenant_id, account_id, other_id)
    links = {link.account_id: link for link in known.links}
    if links[account_id].canonical_id == links[other_id].canonical_id:
        raise OperationRefused(f"{account_id} and {other_id} are one account already.")
    if None not in (one := links[account_id].currency, other := links[other_id].currency) and one != other:
        raise OperationRefused(f"{account_id} and {other_id} have different currencies; they cannot be one account.")
    _refuse_contradiction(tenant_id, known, links[account_id], links[other_id])
    matching = _decide(place, tenant_id, known, {_pair(account_id, other_id): SAME})
    return matching.placements[account_id].canonical_id


def split_accounts(place: Place, tenant_id: str, account_id: str, other_id: str | None = None) -> list[str]:
    """Say that a linked account is not the same account as another, whatever the evidence says.

    Args:
        other_id: None for all that it is the same as, or may be.
    Returns:
        The accounts from which it was separated.
    Raises: OperationRefused: not an admin, an unknown account, nothing to tell it apart from, or joined by a person.
    """
    known = _known(place, tenant_id, account_id, *((other_id,) if other_id else ()))
    links = {link.account_id: link for link in known.links}
    others = [other_id] if other_id else _one_with(known, links[account_id])
    if not others:
        raise OperationRefused(f"{account_id} is an account by itself, and nobody proposes otherwise.")
    joins = {pair for pair in _pairs_said(known, SAME) if account_id in pair and not set(pair) <= {account_id, *others}}
    for one, other in sorted(joins):
        raise OperationRefused(
            f"A person joined {one} and {other}. Undo that first: pfo identity undo --tenant {tenant_id} {one} {other}"
        )
    _decide(place, tenant_id, known, {_pair(account_id, other): DIFFERENT for other in others})
    return others


def undo_decision(place: Place, tenant_id: str, account_id: str, other_id: str) -> None:
    """Take a decision of a person on two linked accounts back: evidence decides again.

    Raises: OperationRefused: not an admin, an unknown account, or nothing was decided on the two.
    """
    known = _known(place, tenant_id, account_id, other_id)
    said = {(d.account_id, d.other_id): d.decision for d in known.decisions}
    if said.get(_pair(account_id, other_id), UNDONE) == UNDONE:
        raise OperationRefused(
            f"No person decided on {account_id} and {other_id}. See: pfo identity --tenant {tenant_id}"
        )
    _decide(place, tenant_id, known, {_pair(account_id, other_id): UNDONE})


def _pair(one: str, other: str) -> Pair:
    return min(one, other), max(one, other)


def _pairs_said(known: KnownMatching, decision: str) -> list[Pair]:
    return [(d.account_id, d.other_id) for d in known.decisions if d.decision == decision]


def _one_with(known: KnownMatching, link: KnownLink) -> list[str]:
    """The linked accounts that a link is one account with, or is proposed to be."""
    same = [a.account_id for a in known.links if a.canonical_id == link.canonical_id and a is not link]
    proposed = [p.other_id for p in known.proposals if p.account_id == link.canonical_id]
    proposed += [p.account_id for p in known.proposals if p.other_id == link.canonical_id]
    return same or proposed


def _refuse_contradiction(tenant_id: str, known: KnownMatching, one: KnownLink, other: KnownLink) -> None:
    """The latest decision on the two themselves holds; one on other links of their accounts would contradict it.

    Raises: OperationRefused: a person told such links apart.
    """
    account_of = {link.account_id: link.canonical_id for link in known.links}
    for first, second in _pairs_said(known, DIFFERENT):
        of_accounts = {account_of.get(first), account_of.get(second)} == {one.canonical_id, other.canonical_id}
        if of_accounts and {first, second} != {one.account_id, other.account_id}:
            raise OperationRefused(
                f"A person told {first} and {second} apart. Undo that first: "
                f"pfo identity undo --tenant {tenant_id} {first} {second}"
            )


def _known(place: Place, tenant_id: str, *account_ids: str) -> KnownMatching:
    require_admin("Which accounts are the same decides what is counted")
    known = KnownMatching.of(place.ledger.reader(), tenant_id)
    ids = {link.account_id for link in known.links}
    for account_id in account_ids:
        if account_id not in ids:
            raise OperationRefused(
                f"Tenant {tenant_id} has no linked account {account_id}. See: pfo accounts, pfo identity."
            )
    return known


def _decide(place: Place, tenant_id: str, known: KnownMatching, decisions: Mapping[Pair, str]) -> Matching:
    matching = known.match(utc_now(), decisions=decisions)
    said = [DecisionRow(tenant_id, *pair, decision) for pair, decision in decisions.items()]
    ledger = place.ledger
    known.record(ledger, tenant_id, matching, said)
    ledger.publish()
    return matching


OPERATION = "ledger.seen"

_WAITING = """
with newest as (
    from account_changes where tenant_id = $tenant
    qualify row_number() over (partition by account_id order by load_id desc) = 1
),
unclassified as (
    select distinct account_id from coverage where tenant_id = $tenant and reason = 'unclassified'
),
waiting as (
    select account_id, was, stands from newest where not seen and account_id not in (from unclassified)
    union all
    select account_id, 'unclassified', 'unclassified' from unclassified
    where account_id not in (select account_id from newest where seen and stands = 'unclassified')
)
select $tenant, w.account_id, w.was, w.stands, true
from waiting w join accounts_latest a on a.tenant_id = $tenant and a.account_id = w.account_id
where $connection is null or a.connection_id = $connection
order by w.account_id
"""


def _waiting(reader: Reader, tenant_id: str, connection_id: str | None) -> list[ChangeRow]:
    if tenant_id not in (tenants := reader.tenants()):
        raise OperationRefused(f"The ledger has no tenant {tenant_id}. It has: {', '.join(tenants) or 'none yet'}.")
    return reader.typed(ChangeRow, _WAITING, {"tenant": tenant_id, "connection": connection_id})


@click.group(
    invoke_without_command=True,
    short_help="Show and decide which linked accounts are one account.",
    epilog=examples("pfo identity", "pfo identity --tenant martin --json"),
)
@TENANTS
@formats
@click.pass_context
@without_pandas
def identity(ctx: click.Context, tenants: tuple[str, ...], form: str | None) -> None:
    """Which linked accounts are one account, by what evidence, and what may be one: a person decides.

    A line of a proposal shows the amount that the totals would lose if it were accepted.
    """
    if ctx.invoked_subcommand is None:
        with find_place().at_once() as place:
            rows = [row for tenant_id in select_tenants(place, tenants) for row in identity_records(place, tenant_id)]
        print_rows(list(COLUMNS), rows, form)


@identity.command(
    epilog=examples("pfo identity join --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9")
)
@TENANT
@click.argument("account", shell_complete=complete_accounts)
@click.argument("other", shell_complete=complete_accounts)
def join(tenant: str, account: str, other: str) -> None:
    """ACCOUNT is the same account as OTHER. The older id of the two stays, and the other leads to it."""
    kept = join_accounts(find_place(), tenant, account, other)
    click.echo(f"{account} and {other} are one account now, {kept}.")
    click.echo(f"To undo it: pfo identity undo --tenant {tenant} {account} {other}")


@identity.command(
    epilog=examples(
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25",
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9",
    )
)
@TENANT
@click.argument("account", shell_complete=complete_accounts)
@click.argument("other", required=False, shell_complete=complete_accounts)
def split(tenant: str, account: str, other: str | None) -> None:
    """ACCOUNT is not the same account as OTHER, whatever the evidence says; without OTHER, as none that it is taken for."""
    for apart in split_accounts(find_place(), tenant, account, other):
        click.echo(f"{account} and {apart} are two accounts now.")
        click.echo(f"To undo it: pfo identity undo --tenant {tenant} {account} {apart}")


@identity.command(
    epilog=examples("pfo identity undo --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9")
)
@TENANT
@click.argument("account", shell_complete=complete_accounts)
@click.argument("other", shell_complete=complete_accounts)
def undo(tenant: str, account: str, other: str) -> None:
    """Take back what was decided about ACCOUNT and OTHER: the evidence decides again."""
    undo_decision(find_place(), tenant, account, other)
    click.echo(f"Nobody has decided about {account} and {other} any more. See: pfo identity --tenant {tenant}")


@click.command(
    short_help="Acknowledge accounts that count differently.",
    epilog=examples("pfo seen --tenant martin", "pfo seen --tenant martin --connection 17"),
)
@TENANT
@click.option("--connection", metavar="ID", shell_complete=complete_connections, help="Of this connection alone.")
@without_pandas
def seen(tenant: str, connection: str | None) -> None:
    """Say that you saw which accounts of a tenant count differently than before, or are of no known class.

    They wait for the operator until then. Totals stay as they are.
    """
    place = find_place()
    with progress():
        require_admin("What was seen waits for nobody any more")
        reader = place.ledger.reader()
        waiting = _waiting(reader, tenant, connection)
        if not waiting:
            whose = f"connection {connection} of tenant {tenant}" if connection else f"tenant {tenant}"
            click.echo(f"No account of {whose} waits to be seen.")
            return
        place.ledger.merge(Batch.by_hand(tenant, OPERATION, "1.0.0", waiting))
        place.ledger.publish()
        for row in waiting:
            change = row.stands if row.was == row.stands else f"{row.was} -> {row.stands}"
            click.echo(f"{row.account_id}  {change}")
        click.echo("Seen: 1 account." if len(waiting) == 1 else f"Seen: {len(waiting)} accounts.")
