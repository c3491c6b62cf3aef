"""What class an account belongs to, by the type that the bank's side names.

| class | types |
|---|---|
| cash | checking, joint |
| savings | savings, livret_a, livret_b, ldds, lep, cel, pel, csl, cat, deposit |
| card | card |
| investments | market, pea, pee, per, perco, perp, article83, rsp, madelin, crowdlending, real_estate |
| insurance | lifeinsurance, capitalisation |
| loan | loan, mortgage, consumercredit, revolvingcredit |
| crypto | any type, where the currency says that it is one |
| unclassified | `unknown`, no type, and every type that is not listed |

`deposit` and `cat` are term deposits: money that is not at hand. A capitalisation contract is one of an insurer.
`joint`, `unknown` and types that are not listed fit any class when one asks whether two linked accounts are one.
"""

CLASSES = {
    "cash": "checking joint",
    "savings": "savings livret_a livret_b ldds lep cel pel csl cat deposit",
    "card": "card",
    "investments": "market pea pee per perco perp article83 rsp madelin crowdlending real_estate",
    "insurance": "lifeinsurance capitalisation",
    "loan": "loan mortgage consumercredit revolvingcredit",
}
UNCLASSIFIED = "unclassified"
_CLASS_OF = {kind: name for name, kinds in CLASSES.items() for kind in kinds.split()}


def class_of(kind: str | None, *, is_crypto: bool) -> str:
    """Return the class under which an amount is summed."""
    if is_crypto:
        return "crypto"
    return _CLASS_OF.get(kind or "", UNCLASSIFIED)


def class_that_binds(kind: str | None, *, is_crypto: bool) -> str | None:
    """Return the class that another linked account must have to be the same; None if any class is allowed."""
    if kind == "joint" and not is_crypto:
        return None
    name = class_of(kind, is_crypto=is_crypto)
    return None if name == UNCLASSIFIED else name
