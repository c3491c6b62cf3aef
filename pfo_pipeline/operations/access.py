"""Authorise the call of an operation, and require the integration slot that it needs.

Source: ContractSpec policy (commands need admin, queries need user) and open banking guards.
"""

from pfo_pipeline.contracts.model import IntegrationBinding, Operation, Role, Step
from pfo_pipeline.errors import PfoError


class OperationRefused(PfoError):
    """The operation may not run as requested; retrying will not help."""


def authorize(operation: Operation, role: Role) -> None:
    """Check the role. Raises: OperationRefused: the role is not sufficient."""
    if not operation.policy.allows(role):
        raise OperationRefused(
            f"{operation.key} needs role {operation.policy.auth}; this process acts as {role}. "
            "Run it from an account that is set up as admin (PFO_ROLE)."
        )


def require_integration(step: Step, binding: IntegrationBinding) -> None:
    """Check the integration. Raises: OperationRefused: slot not bound, not healthy, or without a required capability."""
    if binding.slot not in step.required_integrations or binding.integration is None:
        slots = ", ".join(step.required_integrations)
        raise OperationRefused(
            f"Step {step.id} needs integration slot {slots}, which is unbound. Bind it: configure Powens for the tenant."
        )
    if binding.status != "connected":
        raise OperationRefused(
            f"Step {step.id} needs integration slot {binding.slot}, whose status is {binding.status}. {binding.reason}".strip()
        )
    missing = [c.key for c in step.required_capabilities if c not in binding.capabilities]
    if missing:
        raise OperationRefused(
            f"Step {step.id} needs {', '.join(missing)}, which {binding.integration} in slot {binding.slot} does not provide."
        )
