"""One message for each owner and tenant."""

from pfo_pipeline.alerts.notify import messages
from pfo_pipeline_tests.alerts.samples import notice


def test_fifty_conditions_of_one_owner_are_one_message() -> None:
    (message,) = messages([notice(thing=str(number)) for number in range(50)])

    assert message.title == "pfo: tenant smith, member acts: 50 new"
    assert all(f"Connection {number} " in message.body for number in range(50))


def test_tenants_and_owners_are_never_mixed() -> None:
    found = messages(
        notice(thing=tenant + owner, tenant_id=tenant, owner=owner, text=f"{tenant} {owner}", link="", remedy="")
        for tenant in ("smith", "jones", "")
        for owner in ("member", "operator")
    )

    assert [message.title.split(": ")[1] for message in found] == [
        "the whole office, member acts",
        "the whole office, operator acts",
        "tenant jones, member acts",
        "tenant jones, operator acts",
        "tenant smith, member acts",
        "tenant smith, operator acts",
    ]
    for message in found:
        (only,) = message.notices
        assert message.body.count("NEW: ") == 1
        assert only.condition.text in message.body


def test_the_worst_open_condition_gives_the_severity() -> None:
    worst = notice("resolved", thing="1", severity="critical")
    (mixed,) = messages(
        [worst, notice("repeated", thing="2", severity="warning"), notice(thing="3", severity="notice")]
    )
    (over,) = messages([worst])

    assert (mixed.severity, over.severity) == ("warning", None)
    assert mixed.title.endswith("1 new, 1 still, 1 over")


def test_a_resolved_condition_requests_no_action() -> None:
    (message,) = messages([notice("resolved")])

    assert message.body == "OVER: Connection 38 (Banque Exemple): SCARequired (since 2026-03-10 11:00 UTC)"
