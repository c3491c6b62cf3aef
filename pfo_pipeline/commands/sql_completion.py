"""What Tab offers while SQL is typed: what may be named at that place first, then functions and keywords."""

import re
from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from pfo_pipeline.commands.sql_catalog import Catalog, Relation

COMMANDS = {
    ".help": "this list",
    ".tables": "the tables, views and macros of the ledger",
    ".describe": "NAME: what a table, view or macro holds, column by column",
    ".quit": "end; so does Ctrl-D",
}
_WORD = re.compile(r"[.\w]+")
_NAMES_A_RELATION = re.compile(
    r"(?:\b(?:from|join|describe|summarize)|^\s*\.describe)\s+(?:[\w.]+\s*,\s*)*[\w.]*$", re.IGNORECASE
)
_ARGUMENTS = r"\((?:[^()]|\([^()]*\))*\)"
_NAMED = re.compile(rf"\b(?:from|join)\s+(\w+)(?:\s*{_ARGUMENTS})?(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)
_MOST = 100


class SqlCompleter(Completer):
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        word = document.get_word_before_cursor(pattern=_WORD)
        if document.text_before_cursor.lstrip().startswith(".") and " " not in document.text_before_cursor.lstrip():
            yield from _offered(word, COMMANDS.items())
            return
        named, dot, begun = word.rpartition(".")
        if dot:
            relation = self._relations_in(document.text).get(named.lower())
            yield from _offered(begun, _columns([relation] if relation else []))
            return
        # The first letter shows which case somebody writes keywords in.
        yield from _offered(word, self._at(document), upper=word[:1].isupper())

    def _at(self, document: Document) -> Iterator[tuple[str, str]]:
        relations = self._catalog.relations.values()
        if _NAMES_A_RELATION.search(document.text_before_cursor):
            yield from ((r.name + "(" * (r.kind == "macro"), r.comment) for r in relations)
            return
        here = list(self._relations_in(document.text).values())
        yield from _columns(here or relations)
        yield from ((f"{name}(", "function") for name in self._catalog.functions)
        yield from ((name, "") for name in self._catalog.keywords)

    def _relations_in(self, text: str) -> dict[str, Relation]:
        """Those that the query names, by their names and by the names that it gives them."""
        found = {}
        for name, alias in _NAMED.findall(text):
            if relation := self._catalog.relations.get(name.lower()):
                found[name.lower()] = relation
                if alias and alias.lower() not in self._catalog.keywords:
                    found[alias.lower()] = relation
        return found


def _columns(relations: Iterable[Relation]) -> Iterator[tuple[str, str]]:
    seen = set()
    for relation in relations:
        for column in relation.columns:
            if column.name not in seen:
                seen.add(column.name)
                yield column.name, column.comment or column.type


def _offered(begun: str, words: Iterable[tuple[str, str]], *, upper: bool = False) -> Iterator[Completion]:
    matching = ((word, meaning) for word, meaning in words if word.startswith(begun.lower()))
    for _, (word, meaning) in zip(range(_MOST), matching, strict=False):
        text = word.upper() if upper and not meaning else word
        yield Completion(text, start_position=-len(begun), display_meta=meaning)
