"""Routes of bank accounts.

Here: `/users/{u}/accounts…` and the same under a connection.
Not here: how figures move (movement.py).
Facts: Powens docs, Bank accounts. Without `all` a disabled account is 404, for updates too; an account that
is enabled gets its values with the next sync. Assumed: a bulk update answers like a list.
"""

from pfo_pipeline.simulator import announcements, errors
from pfo_pipeline.simulator.calls import Answer, Call
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paging import page
from pfo_pipeline.simulator.records import Account
from pfo_pipeline.simulator.views import account_json, account_sums

USAGES = ("PRIV", "ORGA", "ASSO", None)


def list_accounts(call: Call) -> Answer:
    """The user's accounts, or those of one connection."""
    user = call.user()
    connection_id = call.connection().id if "connection" in call.params else None
    accounts = call.domain.accounts_of(user.id, connection_id)
    shown = [account for account in accounts if account.visible or call.flag("all")]
    chosen, links = page(shown, call.query, call.url, call.domain.settings.page_size)
    expand = call.expand
    payload: JsonObject = {
        **account_sums(shown),
        "accounts": [account_json(call.domain, account, expand) for account in chosen],
        "total": len(shown),
    }
    if links is not None:
        payload["_links"] = links
    return Answer(200, payload)


def get_account(call: Call) -> Answer:
    """One account."""
    return Answer(200, account_json(call.domain, call.account(call.params["account"]), call.expand))


def update_accounts(call: Call) -> Answer:
    """Change one account, or several given as `1234,4567`; none when one of them is refused."""
    changes = _checked(call.body)
    texts = call.params["account"].split(",")
    accounts = [call.account(text) for text in texts]
    for account in accounts:
        _apply(call, account, changes)
    if len(texts) == 1:
        return Answer(200, account_json(call.domain, accounts[0], call.expand))
    payload = [account_json(call.domain, account, call.expand) for account in accounts]
    return Answer(200, {"accounts": payload, "total": len(payload)})


def _apply(call: Call, account: Account, changes: JsonObject) -> None:
    was_disabled = account.disabled is not None
    if "disabled" in changes:
        account.verbatim.pop("disabled", None)
        if not changes["disabled"]:
            account.disabled = None
        elif account.disabled is None:
            account.disabled = call.world.clock.now()
        if was_disabled != (account.disabled is not None):
            announcements.account_switched(call.domain, account, call.world.clock.now())
    account.fields |= {name: value for name, value in changes.items() if name != "disabled"}


def _checked(body: JsonObject) -> JsonObject:
    changes: JsonObject = {}
    for name in ("disabled", "display", "bookmarked"):
        if name in body:
            value = {"true": True, "1": True, "false": False, "0": False}.get(str(body[name]).lower())
            if value is None:
                raise errors.invalid_value(name)
            changes[name] = int(value) if name == "bookmarked" else value
    if "name" in body:
        if not isinstance(body["name"], str):
            raise errors.invalid_value("name")
        changes["name"] = body["name"]
    if "usage" in body:
        if body["usage"] not in USAGES:
            raise errors.invalid_value("usage")
        changes["usage"] = body["usage"]
    return changes
