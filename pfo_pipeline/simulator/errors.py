"""Error answers of the simulated API.

Facts: Powens docs, Errors; body `{code, description, message, request_id}`. The code strings for 401, 429
and 503 are assumptions: nothing public gives them.
"""

from collections.abc import Mapping
from types import MappingProxyType

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ApiError(Exception):
    """An error answer: an HTTP status and the fields of the error envelope."""

    def __init__(
        self,
        status: int,
        code: str,
        description: str,
        message: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(f"{status} {code}: {description}")
        self.status = status
        self.code = code
        self.description = description
        self.message = message
        self.headers = headers


def unauthorized(description: str = "Invalid or missing access token") -> ApiError:
    """No token, or an unknown one."""
    return ApiError(401, "unauthorized", description)


def forbidden() -> ApiError:
    """A token of the wrong kind."""
    return ApiError(403, "forbidden", "Insufficient scope")


def not_found() -> ApiError:
    """Unknown, or not visible with this token."""
    return ApiError(404, "notFound", "Resource not found")


def method_not_allowed(allowed: list[str]) -> ApiError:
    """The path exists for other methods."""
    return ApiError(405, "methodNotAllowed", "Method not allowed", headers={"Allow": ", ".join(allowed)})


def missing_parameter(name: str) -> ApiError:
    """A mandatory parameter is absent."""
    return ApiError(400, "missingParameter", f"Missing parameter: {name}")


def invalid_value(name: str) -> ApiError:
    """A parameter has a value that is not accepted."""
    return ApiError(400, "invalidValue", f"Invalid value for parameter: {name}")


def bad_request(description: str) -> ApiError:
    """The request cannot be read."""
    return ApiError(400, "badRequest", description)


def sync_conflict(connection_id: int) -> ApiError:
    """A forced sync came too soon, or during another sync."""
    return ApiError(409, "conflict", f"Can't force synchronization of connection {connection_id}")


def already_up_to_date() -> ApiError:
    """A web login was requested for a connection that needs none."""
    return ApiError(409, "invalidValue", "The connection is already up to date")


def too_many_requests(retry_after_seconds: int) -> ApiError:
    """The domain's calls of this minute are used up."""
    headers = {"Retry-After": str(retry_after_seconds)}
    return ApiError(429, "tooManyRequests", "Too many requests", headers=headers)


def internal_bug() -> ApiError:
    """An error of the simulator itself; Powens also calls its own errors `bug`."""
    return ApiError(500, "bug", "Internal error")


# Statuses that a fault may use without a code.
DEFAULT_CODES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("badRequest", "Bad request"),
        401: ("unauthorized", "Invalid or missing access token"),
        403: ("forbidden", "Insufficient scope"),
        404: ("notFound", "Resource not found"),
        405: ("methodNotAllowed", "Method not allowed"),
        409: ("conflict", "Conflict"),
        429: ("tooManyRequests", "Too many requests"),
        500: ("bug", "Internal error"),
        502: ("bug", "Bad gateway"),
        503: ("maintenance", "Service temporarily unavailable"),
        504: ("bug", "Gateway timeout"),
    }
)
