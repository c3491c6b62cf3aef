"""Draws the diagram of the ledger's tables: `python -m docs._ext.diagram > docs/images/ledger.svg`.

This file lists the columns of each box and the links between tables; the types come from the catalogue of a new ledger.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

import duckdb

from pfo_pipeline.ledger.schema import create

WIDTH, HEIGHT = 1000, 530
_BOX, _LINE, _HEAD = 196, 20, 26
_TYPES = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "DECIMAL(38,10)": "decimal"}


@dataclass(frozen=True)
class Box:
    table: str
    x: int
    y: int
    columns: tuple[str, ...]

    @property
    def height(self) -> int:
        return _HEAD + _LINE * len(self.columns) + 6

    @property
    def middle(self) -> int:
        return self.x + _BOX // 2

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True)
class Link:
    """One row of `one` and many of `many`, linked by these columns."""

    one: str
    many: str
    columns: tuple[str, ...]


BOXES = (
    Box("users", 12, 40, ("tenant_id", "user_id", "status")),
    Box("connections", 272, 40, ("tenant_id", "connection_id", "user_id", "state", "last_success_at")),
    Box("accounts", 532, 40, ("tenant_id", "account_id", "connection_id", "iban", "recorded_at")),
    Box("balances", 792, 40, ("tenant_id", "account_id", "as_of", "recorded_at", "current_balance")),
    Box("seals", 12, 330, ("load_id", "about_load_id", "content_hash")),
    Box("loads", 272, 280, ("load_id", "tenant_id", "run_id", "operation", "recorded_at")),
    Box("identities", 532, 330, ("tenant_id", "account_id", "same_as", "decided_by")),
    Box("quarantine", 792, 330, ("tenant_id", "record", "reason", "load_id")),
    Box("chain", 272, 440, ("load_id", "hash")),
)
ACROSS = (
    Link("users", "connections", ("tenant_id", "user_id")),
    Link("connections", "accounts", ("tenant_id", "connection_id")),
    Link("accounts", "balances", ("tenant_id", "account_id")),
)
DOWN = Link("accounts", "identities", ("tenant_id", "account_id"))
"""Links along the top row, and the one below it. Every table except loads has load_id, which leads there."""


def render() -> str:
    """The diagram as SVG text. Raises: KeyError: a column that the ledger does not have."""
    with duckdb.connect() as con:
        create(con)
        types = {
            (table, column): _TYPES.get(kind, kind.lower())
            for table, column, kind in con.execute(
                "select table_name, column_name, data_type from duckdb_columns() where schema_name = 'ledger'"
            ).fetchall()
        }
    boxes = {box.table: box for box in BOXES}
    drawn = [
        *(_across(boxes[link.one], boxes[link.many], link, types) for link in ACROSS),
        _down(boxes["accounts"], boxes["identities"], DOWN, types),
        *_to_loads(boxes, types),
        *(_box(box, types) for box in BOXES),
    ]
    title = "Users have connections, connections have accounts, accounts have balances; each row has its load"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{title}" font-family="system-ui, sans-serif" font-size="12">\n'
        f"<title>{title}</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _box(box: Box, types: dict[tuple[str, str], str]) -> str:
    lines = [
        f'<rect x="{box.x}" y="{box.y}" width="{_BOX}" height="{box.height}" rx="4" fill="#f6f8fa" stroke="#57606a"/>',
        f'<path d="M{box.x},{box.y + _HEAD} h{_BOX}" stroke="#57606a"/>',
        f'<text x="{box.x + 10}" y="{box.y + 18}" font-weight="600" fill="#0b3d66">{box.table}</text>',
    ]
    for number, column in enumerate(box.columns):
        y = box.y + _HEAD + _LINE * number + 16
        lines.append(f'<text x="{box.x + 10}" y="{y}" fill="#1f2328">{column}</text>')
        kind = escape(types[box.table, column])
        lines.append(f'<text x="{box.x + _BOX - 10}" y="{y}" text-anchor="end" fill="#57606a">{kind}</text>')
    return "\n".join(lines)


def _checked(link: Link, types: dict[tuple[str, str], str]) -> str:
    assert all(types[link.one, column] == types[link.many, column] for column in link.columns)
    return ", ".join(link.columns)


def _across(one: Box, many: Box, link: Link, types: dict[tuple[str, str], str]) -> str:
    y = one.y + _HEAD // 2
    start, end = one.x + _BOX, many.x
    return (
        f'<path d="M{start},{y} H{end} M{end},{y - 6} L{end - 10},{y} L{end},{y + 6}" stroke="#0969da" fill="none"/>\n'
        f'<text x="{(start + end) // 2}" y="{one.y - 14}" text-anchor="middle" fill="#0550ae">{_checked(link, types)}</text>'
    )


def _down(one: Box, many: Box, link: Link, types: dict[tuple[str, str], str]) -> str:
    x, end = one.middle, many.y
    return (
        f'<path d="M{x},{one.bottom} V{end} M{x - 6},{end} L{x},{end - 10} L{x + 6},{end}" stroke="#0969da" fill="none"/>\n'
        f'<text x="{x + 8}" y="{end - 18}" fill="#0550ae">{_checked(link, types)}</text>'
    )


def _to_loads(boxes: dict[str, Box], types: dict[tuple[str, str], str]) -> list[str]:
    assert all((box.table, "load_id") in types for box in BOXES)
    loads, seals, chain = boxes["loads"], boxes["seals"], boxes["chain"]
    y = loads.y - 40
    above = " ".join(
        f"M{boxes[name].middle - 20},{boxes[name].bottom} V{y}" for name in ("users", "accounts", "balances")
    )
    side = seals.y + _HEAD // 2
    return [
        f'<path d="{above} M{boxes["users"].middle - 20},{y} H{boxes["quarantine"].middle - 20} V{boxes["quarantine"].y} '
        f'M{loads.middle},{boxes["connections"].bottom} V{loads.y}" stroke="#8c959f" fill="none" stroke-dasharray="4 3"/>',
        f'<text x="{loads.middle + 8}" y="{y - 8}" fill="#57606a">load_id, of every row</text>',
        f'<path d="M{seals.x + _BOX},{side} H{loads.x} M{loads.middle},{loads.bottom} V{chain.y}" '
        'stroke="#8c959f" fill="none"/>',
        f'<text x="{(seals.x + _BOX + loads.x) // 2}" y="{side - 8}" text-anchor="middle" fill="#57606a">about</text>',
    ]


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
