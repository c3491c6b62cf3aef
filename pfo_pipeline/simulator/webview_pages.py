"""The pages of the webview as HTML.

The pages are in English for every requested language. There is one function per page. Each page is one form that is posted to
its own address; none needs a script.
"""

from collections.abc import Iterable, Sequence
from html import escape

from pfo_pipeline.simulator.catalogue import ACCOUNT_TYPES, TEST_CONNECTOR, TEST_SCENARIOS, CatalogueConnector
from pfo_pipeline.simulator.state import WorldAccount

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1c1c28}"
    "label{display:block;margin:.4rem 0}label.text{font-weight:600}input[type=text],input[type=password],select"
    "{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit}"
    "button{margin:1.2rem .6rem 0 0;padding:.5rem 1.2rem;font:inherit}[role=alert]{color:#a40000}"
    "footer{margin-top:3rem;font-size:.8rem;color:#66667a}"
)


def choose_bank(visit: str, connectors: Sequence[CatalogueConnector]) -> str:
    """Choose a bank."""
    only = " checked" if len(connectors) == 1 else ""
    offered = "".join(
        f'<label><input type="radio" name="connector" value="{escape(connector.uuid)}" required{only}>'
        f" {escape(connector.name)} ({escape(connector.country_name)})</label>"
        for connector in connectors
    )
    return _form("Choose your bank", visit, f"<fieldset><legend>Banks</legend>{offered}</fieldset>", "Continue")


def credentials(visit: str, connector: CatalogueConnector, source: str, problem: str | None, *, new: bool) -> str:
    """The login of a bank with credentials; for a new test connection also its scenario."""
    scenarios = ""
    if new and connector is TEST_CONNECTOR:
        options = "".join(
            f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in TEST_SCENARIOS.items()
        )
        name = f"{source}website"
        scenarios = (
            f'<label class="text" for="{name}">Scenario</label><select id="{name}" name="{name}">{options}</select>'
        )
    # The password field is plain text: a published password of a fictitious bank.
    fields = scenarios + _input("login", "Login") + _input("password", "Password (1234)", kind="password")
    chosen = f'<input type="hidden" name="connector" value="{escape(connector.uuid)}">'
    return _form(f"Log in at {connector.name}", visit, chosen + fields, "Continue", problem)


def ask_code(visit: str, connector: CatalogueConnector, name: str) -> str:
    """Enter the code that the bank has sent."""
    return _form(f"{connector.name} has sent you a code", visit, _input(name, "SMS code (abcd)"), "Continue")


def ask_confirmation(visit: str, connector: CatalogueConnector) -> str:
    """Confirm in the bank's app."""
    text = "<p>Confirm the access in your banking application, then continue.</p>"
    hidden = '<input type="hidden" name="resume" value="true">'
    return _form(f"{connector.name} waits for you", visit, text + hidden, "I have confirmed")


def share_accounts(visit: str, connector: CatalogueConnector, accounts: Iterable[WorldAccount]) -> str:
    """Choose the accounts to share; all by default."""
    offered = "".join(
        f'<label><input type="checkbox" name="accounts" value="{account.id}" checked>'
        f" {escape(str(account.fields.get('name') or account.id))} ({escape(_type_name(account))})</label>"
        for account in accounts
    )
    fieldset = f"<fieldset><legend>Accounts found</legend>{offered}</fieldset>"
    return _form(f"Share accounts of {connector.name}", visit, fieldset, "Share", action="share")


def renew_access(visit: str, connector: CatalogueConnector, until: str) -> str:
    """Confirm the renewal of access to a bank."""
    text = f"<p>Powens reads accounts and balances, and moves no money. The consent will end on {escape(until)}.</p>"
    return _form(f"Renew the access to {connector.name}", visit, text, "Renew")


def refusal(text: str) -> str:
    """The error in the link to this page."""
    return _page("This page cannot be opened", f'<p role="alert">{escape(text)}</p>')


def _input(name: str, label: str, kind: str = "text") -> str:
    return (
        f'<label class="text" for="{escape(name)}">{escape(label)}</label>'
        f'<input id="{escape(name)}" name="{escape(name)}" type="{kind}" autocomplete="off" required>'
    )


def _form(
    title: str, visit: str, content: str, button: str, problem: str | None = None, action: str = "confirm"
) -> str:
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        title,
        f'{alert}<form method="post"><input type="hidden" name="visit" value="{escape(visit)}">{content}'
        f'<button name="action" value="{action}">{escape(button)}</button>'
        f'<button name="action" value="cancel" formnovalidate>Cancel</button></form>',
    )


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{content}</main><footer>Simulated bank: all names are made up.</footer>"
        f"</body></html>"
    )


def _type_name(account: WorldAccount) -> str:
    return ACCOUNT_TYPES.get(account.type, ACCOUNT_TYPES["unknown"]).display_name
