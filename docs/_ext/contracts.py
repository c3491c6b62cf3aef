"""Writes `docs/contracts.md` from the contracts: `python -m docs._ext.contracts > docs/contracts.md`."""

from pfo_pipeline.contracts.model import Message, Operation, Step, TelemetryEvent, Workflow
from pfo_pipeline.contracts.operations import GET_ACCOUNT
from pfo_pipeline.contracts.records import AccountBalanceRecord, BankAccountRecord
from pfo_pipeline.contracts.workflows import WORKFLOWS, operations
from pfo_pipeline.redaction import PERSONAL_FIELDS


def render() -> str:
    """Return the page as Markdown."""
    parts = [
        "# Contracts",
        "What the pipeline implements. Written from `pfo_pipeline/contracts`; a test keeps this page equal to it. Names are "
        "in their wire form; in Python and SQL they are snake_case. Amounts are exact decimals, text in JSON. What the ledger "
        "holds is in [ledger.md](ledger.md).",
        "## Workflows",
        *(_workflow(workflow) for workflow in WORKFLOWS),
        "## Operations",
        *(_operation(operation) for operation in (*operations(), GET_ACCOUNT)),
        "## Records",
        *(f"### {kind.__name__}\n\n{_fields(kind)}" for kind in (BankAccountRecord, AccountBalanceRecord)),
        "## Privacy",
        "Never unmasked in telemetry, logs, Dagster metadata, tags, run config or error text: "
        + ", ".join(f"`{name}`" for name in sorted(PERSONAL_FIELDS))
        + ". Masking keeps the last four characters.",
    ]
    return "\n\n".join(parts) + "\n"


def _workflow(workflow: Workflow) -> str:
    steps = "\n".join(_step(workflow, step) for step in workflow.steps)
    return (
        f"### {workflow.title}\n\n`{workflow.key}` {workflow.version}. {workflow.description}\n\n"
        "| step | follows | operation | attempts | waits between | needs |\n|---|---|---|---|---|---|\n" + steps
    )


def _step(workflow: Workflow, step: Step) -> str:
    waits = ", ".join(f"{seconds:g} s" for seconds in step.retry.delays_seconds())
    needs = ", ".join((*step.required_integrations, *(c.key for c in step.required_capabilities)))
    follows = ", ".join(workflow.upstream(step.id)) or "—"
    return f"| `{step.id}` | {follows} | `{step.operation.key}` | {step.retry.max_attempts} | {waits} | {needs} |"


def _operation(operation: Operation) -> str:
    lines = [
        f"### {operation.key}",
        operation.description,
        f"- Goal: {operation.goal}\n- Context: {operation.context}\n- {operation.kind}, needs role `{operation.policy.auth}`; "
        f"version {operation.version}, {operation.stability}; owner {', '.join(operation.owners)}",
        f"Input:\n\n{_fields(operation.input)}",
        f"Output: see {operation.output.__name__} below."
        if operation.output is BankAccountRecord
        else f"Output:\n\n{_fields(operation.output)}",
    ]
    if operation.telemetry:
        lines.append(f"Telemetry: {_event(operation.telemetry.success)}; {_event(operation.telemetry.failure)}.")
    return "\n\n".join(lines)


def _event(event: TelemetryEvent) -> str:
    return f"`{event.key}` with {', '.join(p.name for p in event.properties)}"


def _fields(kind: type[Message]) -> str:
    fields = kind.model_json_schema(by_alias=True, mode="serialization")["properties"]
    required = set(kind.model_json_schema(by_alias=True, mode="validation").get("required", ()))
    return "\n".join(
        f"- `{name}`{'' if name in required else ' (optional)'}{': ' + field['description'] if 'description' in field else ''}"
        for name, field in fields.items()
    )


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
