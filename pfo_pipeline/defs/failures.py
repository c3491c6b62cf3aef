"""Maps a failure of an operation to a Dagster failure, in one place.

| raised by the operation                          | Dagster sees                     |
|--------------------------------------------------|----------------------------------|
| TryAgain, with the server's own wait             | RetryRequested after that wait   |
| TryAgain, LedgerBusy, LedgerFull                 | a failure, retried by the policy |
| StepFailed, OperationRefused, any other PfoError | a failure, not retried           |
| an interrupt (cancelled run)                     | a failure, not retried           |

Without the last line Dagster would retry a cancelled step, because the contract gives it retries.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from pfo_pipeline.contracts.model import Step
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.errors import LedgerBusy, LedgerFull
from pfo_pipeline.operations.steps import StepFailed, TryAgain
from pfo_pipeline.redaction import scrub
from pfo_pipeline.telemetry import counted, recorded

CANCELLED = "cancelled"
STARTED_BY = "pfo/started_by"
"""Tag of a run that was not started by the daemon."""
_CHECK_FAILED = "DagsterAssetCheckFailedError"
"""One of Dagster's own errors, which it does not export: a blocking check has failed."""


@contextmanager
def named_failures(step: Step) -> Iterator[None]:
    """Map the errors of the step's operation to Dagster failures."""
    operation = step.operation.key
    with named_errors(operation):
        try:
            yield
        except TryAgain as again:
            if again.wait_seconds is None:
                raise _failure(operation, again, "transient", "powens", retried=True) from None
            recorded("pfo.step.retry_wait", again.wait_seconds, operation=operation)
            raise dg.RetryRequested(step.retry.max_retries, again.wait_seconds) from _failure(
                operation, again, "rateLimited", "nobody", retried=True
            )
        except StepFailed as error:
            raise _failure(operation, error, error.code, error.who_acts, retried=False) from None


@contextmanager
def named_errors(operation: str) -> Iterator[None]:
    """Do the same for work that does not call the bank."""
    try:
        yield
    except (LedgerBusy, LedgerFull) as error:
        raise _failure(operation, error, type(error).__name__, "operator", retried=True) from None
    except PfoError as error:
        raise _failure(operation, error, type(error).__name__, "operator", retried=False) from None
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        raise _failure(operation, error, CANCELLED, "nobody", retried=False) from None


def _failure(operation: str, error: BaseException, code: str, who_acts: str, *, retried: bool) -> dg.Failure:
    if retried:
        counted("pfo.step.retries", operation=operation, code=code)
    return dg.Failure(
        description=scrub(str(error)) or "The run was cancelled.",
        metadata={"code": scrub(code), "who_acts": who_acts, "operation": operation},
        allow_retries=retried,
    )


def described_failure(event: dg.DagsterEvent) -> dict[str, str | None]:
    """Code, owner and reason of a failed step, from `named_failures`; scrubbed."""
    failure = event.step_failure_data.user_failure_data
    error = event.step_failure_data.error
    if failure is None and error is not None and error.cls_name == _CHECK_FAILED:
        return _described_checks(event.step_key, error.message)
    metadata = {key: str(value.value) for key, value in (failure.metadata if failure else {}).items()}
    return {
        "step": event.step_key,
        "code": metadata.get("code", "error"),
        "who_acts": metadata.get("who_acts", "operator"),
        "reason": scrub(
            (failure.description if failure else None) or "an error of the program itself; see the run's log"
        ),
    }


def _described_checks(step_key: str | None, message: str) -> dict[str, str | None]:
    """Read the failed checks: Dagster's message ends with the asset and the names of its checks, which are sentences."""
    names = " ".join(message.partition("severity:")[2].split())
    reason = f"Not true any more: {names}. Nothing after it ran; the check's own text and table say what to do."
    return {"step": step_key, "code": "check", "who_acts": "operator", "reason": scrub(reason)}


def broken_rules(events: Iterable[dg.DagsterEvent]) -> list[dg.AssetCheckEvaluation]:
    """The blocking checks that failed, according to a run's events."""
    evaluations = [
        event.asset_check_evaluation_data
        for event in events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    return [e for e in evaluations if e.blocking and not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]


def described_start_failure(events: Iterable[dg.DagsterEvent]) -> dict[str, str | None]:
    """The same for a run without a failed step: it did not start, or its process ended."""
    failure = next((e.message for e in events if e.event_type == dg.DagsterEventType.RUN_FAILURE), None)
    return {"code": "run", "who_acts": "operator", "reason": scrub(failure or "see the run in the Dagster UI")}
