"""Writes `docs/configuration.md` from the models: `python -m docs._ext.configuration > docs/configuration.md`.

Each key's text is the docstring below its field.
"""

import ast
import inspect
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pfo_pipeline.config.model import Config

_NOT_IN_THE_FILE = {"Config.source", "Tenant.id"}
_TAKES = {
    "str": "text",
    "bool": "`true` or `false`",
    "int": "number",
    "Slug": "slug",
    "DomainLabel": "label",
    "BaseUrl": "URL",
    "RedirectUri": "URL",
    "SecretReference": "reference",
    "SecretReferences": "reference, or a list",
    "TimeZoneName": "time zone",
    "PathName": "path",
    "LocaleName": "locale",
    "CurrencyCode": "currency",
    "Hours": "hours",
    "Waits": "list of hours",
}
_INTRODUCTION = """# Configuration

All keys of `pfo.toml`, generated from the models that read it. Start from `pfo.example.toml`. This lists every mistake in
yours by key:

```
.venv/bin/pfo config check
```

A **reference** leads to a secret: `env:NAME`, an environment variable, or `file:PATH`, a file that contains only the
secret. Relative paths start at the folder of `pfo.toml`. The secret is read when it is used. A **slug** has at most 63
characters of `a-z`, `0-9`, `-` and `_`. Unknown keys are refused."""


def render() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION, "## At the top", *_section(Config, ())]
    return "\n\n".join(parts) + "\n"


def _section(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    """Yield a table of the model's keys, then the sections within it."""
    texts, takes = _read_from_source(model)
    fields = {
        name: field for name, field in model.model_fields.items() if f"{model.__name__}.{name}" not in _NOT_IN_THE_FILE
    }
    within = {name: found for name, field in fields.items() if (found := _model_of(field))}
    rows = [
        f"| `{name}` | {takes[name]} | {_default(field)} | {texts[name]} |"
        for name, field in fields.items()
        if name not in within
    ]
    yield "| key | takes | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
    for name, found in within.items():
        inner = (*path, name, "NAME") if name == "tenants" else (*path, name)
        is_list = name == "users"
        header = f"[[{'.'.join(inner)}]]" if is_list else f"[{'.'.join(inner)}]"
        yield f"## `{header}`"
        yield texts[name]
        yield from _section(found, inner)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a table, or of each of several tables."""
    candidates = (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if inspect.isclass(c) and issubclass(c, BaseModel)), None)


def _read_from_source(model: type[BaseModel]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the docstring below each field, and a description of its values.

    Raises: KeyError: a field without a docstring, when its text is requested.
    """
    [definition] = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    texts, takes = {}, {}
    for line, following in zip(definition.body, [*definition.body[1:], ast.Pass()], strict=True):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            takes[line.target.id] = _in_words(line.annotation)
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                texts[line.target.id] = " ".join(str(following.value.value).split())
    return texts, takes


def _in_words(annotation: ast.expr) -> str:
    match annotation:
        case ast.BinOp(left=left):  # … | None
            return _in_words(left)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[kind, *_])):
            return _in_words(kind)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=choices)):
            return " or ".join(f'`"{choice.value!s}"`' for choice in choices if isinstance(choice, ast.Constant))
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[_, kind])):
            return f"table of {_in_words(kind)}"
        case _:
            return _TAKES.get(ast.unparse(annotation), f"`{ast.unparse(annotation)}`")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or value == () or value == {}:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
