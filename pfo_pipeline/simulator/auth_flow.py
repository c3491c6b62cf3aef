"""The states from a request of a user to a running sync, and the scenarios of the test connector.

Facts: Powens docs, Connections and the guide on connection states; scenario values as seen in recorded sandbox tests. Assumed:
a plain `SCARequired` turns into `webauthRequired`; a confirmation without `background` is over when the call returns, because
nothing can block on a virtual clock. `refresh_auth` starts a renewal ahead of time (documented), by the same steps as one
that is due.
"""

from collections.abc import Mapping
from datetime import timedelta

from pfo_pipeline.simulator import errors, webhook_events
from pfo_pipeline.simulator.banking import discoveries, open_accounts, open_connection
from pfo_pipeline.simulator.catalogue import TEST_SCENARIOS, CatalogueConnector
from pfo_pipeline.simulator.state import Domain, World, WorldConnection, WorldUser
from pfo_pipeline.simulator.sync_engine import (
    TEMPORARY_STATES,
    has_lapsed,
    may_force,
    renew_consent,
    set_state,
    start_sync,
)

TEST_PASSWORD = "1234"  # noqa: S105 -- published by Powens for its test connector
RIGHT_CODE = "abcd"
CODE_FIELD = "openapisms"
REFUSED_AT_CREATION = {
    "wrongpass": ("Invalid credentials", "Identifiant ou code incorrect."),
    "passwordExpired": ("Password expired", None),
    "actionNeeded": ("Action needed on the bank's website", None),
}
# Scenario -> first state; other scenarios start healthy.
FIRST_STATES = {
    "SCARequired": "SCARequired",
    "SCARequiredAndOTP": "SCARequired",
    "SCARequiredAndDecoupled": "SCARequired",
    "additionalInformationNeeded": "additionalInformationNeeded",
    "shortDecoupled": "decoupled",
    "bug": "bug",
}
# States that a present user can leave with an empty request, per scenario.
NEXT_AFTER_SCA = {"SCARequiredAndOTP": "additionalInformationNeeded", "SCARequiredAndDecoupled": "decoupled"}
INTERACTIVE_STATES = frozenset({"SCARequired", "webauthRequired", "additionalInformationNeeded", "decoupled"})


def create(
    world: World,
    domain: Domain,
    user: WorldUser,
    connector: CatalogueConnector,
    source: str,
    values: Mapping[str, object],
) -> WorldConnection:
    """Connect a bank with credentials. The accounts are found immediately, disabled; their data comes later.

    Raises:
        ApiError: values are missing or refused; nothing is created then.
    """
    if connector.auth_mechanism != "credentials":
        raise errors.invalid_value("connector_uuid")
    scenario = _scenario(connector, source, values)
    _check_credentials(scenario, values)
    now = world.clock.now()
    connection = open_connection(world, domain, user, connector, created=now)
    connection.sources = [item for item in connection.sources if item.name == source]
    connection.scenario = scenario
    connection.last_update = connection.last_push = connection.expire = None
    for item in connection.sources:
        item.last_update = item.expire = None
    ask(connection, FIRST_STATES.get(scenario), world)
    _discover(world, domain, connection)
    if connection.state is None:
        renew_consent(connection, now)
        start_sync(world, domain, connection, outcome=None)
    return connection


def submit(
    world: World, domain: Domain, connection: WorldConnection, values: Mapping[str, object], *, background: bool
) -> None:
    """Handle a POST on a connection: a code, new credentials, a confirmation, or an empty request.

    Raises:
        ApiError: the values are refused, or a sync is not possible now.
    """
    if values.get("resume") is True:
        _resume(world, domain, connection, background=background)
    elif values.get("refresh_auth") is True:
        ask(connection, _first_step(connection), world)
    elif CODE_FIELD in values or (connection.state == "additionalInformationNeeded" and values):
        _take_code(world, domain, connection, values)
    elif "password" in values or "login" in values:
        _take_credentials(world, domain, connection, values)
    else:
        force(world, domain, connection, user_present=True)


def force(world: World, domain: Domain, connection: WorldConnection, *, user_present: bool) -> None:
    """Start a sync now, in the background.

    Raises:
        ApiError: 409 `conflict` if a sync is running or the last one is too recent.
    """
    if connection.state is None and has_lapsed(connection, world.clock.now()):
        ask(connection, "SCARequired", world)
    if connection.state in INTERACTIVE_STATES:
        if user_present and connection.state == "SCARequired":
            ask(connection, _first_step(connection), world)
        return
    if not may_force(world, domain, connection):
        raise errors.sync_conflict(connection.id)
    # A forced sync helps only a healthy connection, including a stuck one; a failing one fails again.
    start_sync(world, domain, connection, outcome=connection.state)


def connect_at_the_bank(
    world: World, domain: Domain, user: WorldUser, connector: CatalogueConnector
) -> WorldConnection:
    """Add a connection after the user's login on the bank's own page; its accounts start disabled."""
    now = world.clock.now()
    connection = open_connection(world, domain, user, connector, created=now)
    connection.last_update = connection.last_push = None
    for source in connection.sources:
        source.last_update = None
    _discover(world, domain, connection)
    _consented(world, domain, connection)
    return connection


def confirm_at_the_bank(world: World, domain: Domain, connection: WorldConnection) -> None:
    """Confirm after the user's login on the bank's own page."""
    _consented(world, domain, connection)


UNFINISHED_LOGIN = timedelta(hours=2)
"""Time after which an open login expires (seen live)."""
OPEN_LOGIN = frozenset({"webauthRequired", "additionalInformationNeeded", "decoupled", "validating"})


def ask(connection: WorldConnection, state: str | None, world: World) -> None:
    """Put the connection in a state, with the texts and form fields of that state."""
    texts = {
        "additionalInformationNeeded": "Enter the code received by SMS",
        "decoupled": "Confirm the access in your banking application",
    }
    connection.error_message = texts.get(state or "")
    connection.fields = form_fields(state)
    connection.login_until = world.clock.now() + UNFINISHED_LOGIN if state in OPEN_LOGIN else None
    set_state(connection, state, world.clock.now())


def form_fields(state: str | None) -> list[object] | None:
    """The form that a state requires the user to fill in; null if it requires none."""
    if state == "additionalInformationNeeded":
        return [_field(CODE_FIELD, "SMS code", "text")]
    if state == "wrongpass":
        return [_field("login", "Identifiant", "text"), _field("password", "Code", "password")]
    return [] if state == "decoupled" else None


def _first_step(connection: WorldConnection) -> str:
    """The bank's first request to a user who is present."""
    return NEXT_AFTER_SCA.get(connection.scenario or "", "webauthRequired")


def _field(name: str, label: str, kind: str) -> dict[str, object]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "required": True,
        "regex": None,
        "auth_mechanisms": ["credentials"],
        "values": None,
    }


def _scenario(connector: CatalogueConnector, source: str, values: Mapping[str, object]) -> str:
    if source not in connector.source_names:
        raise errors.invalid_value("source")
    if connector.slug != "TEST":
        return "par"
    name = f"{source}website"
    scenario = values.get(name)
    if scenario is None:
        raise errors.missing_parameter(name)
    if scenario not in TEST_SCENARIOS:
        raise errors.invalid_value(name)
    return str(scenario)


def _check_credentials(scenario: str, values: Mapping[str, object]) -> None:
    for name in ("login", "password"):
        if values.get(name) in (None, ""):
            raise errors.missing_parameter(name)
    refused = "wrongpass" if str(values["password"]) != TEST_PASSWORD else scenario
    if refused in REFUSED_AT_CREATION:
        description, message = REFUSED_AT_CREATION[refused]
        raise errors.ApiError(400, refused, description, message)


def _resume(world: World, domain: Domain, connection: WorldConnection, *, background: bool) -> None:
    if connection.state == "validating":
        return
    if connection.state != "decoupled":
        raise errors.invalid_value("resume")
    if background:
        ask(connection, "validating", world)
        renew_consent(connection, world.clock.now())
        start_sync(world, domain, connection, outcome=None)
    else:
        _consented(world, domain, connection)


def _take_code(world: World, domain: Domain, connection: WorldConnection, values: Mapping[str, object]) -> None:
    if connection.state != "additionalInformationNeeded":
        raise errors.invalid_value(CODE_FIELD)
    if CODE_FIELD not in values:
        raise errors.missing_parameter(CODE_FIELD)
    if values[CODE_FIELD] == RIGHT_CODE:
        _consented(world, domain, connection)
    else:
        ask(connection, "wrongpass", world)


def _take_credentials(world: World, domain: Domain, connection: WorldConnection, values: Mapping[str, object]) -> None:
    if connection.connector.auth_mechanism != "credentials":
        raise errors.invalid_value("password")
    if str(values.get("password")) != TEST_PASSWORD:
        description, message = REFUSED_AT_CREATION["wrongpass"]
        raise errors.ApiError(400, "wrongpass", description, message)
    if connection.state in TEMPORARY_STATES:
        force(world, domain, connection, user_present=True)
    else:
        _consented(world, domain, connection)


def _discover(world: World, domain: Domain, connection: WorldConnection) -> None:
    now = world.clock.now()
    for account in open_accounts(world, domain, connection, discoveries(world, domain, connection), since=now):
        webhook_events.account_found(domain, account, now)


def _consented(world: World, domain: Domain, connection: WorldConnection) -> None:
    ask(connection, None, world)
    renew_consent(connection, world.clock.now())
    start_sync(world, domain, connection, outcome=None)
