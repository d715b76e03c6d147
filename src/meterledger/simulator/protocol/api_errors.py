"""The refusals of the simulated API, in the shape Stripe gives its errors."""

from typing import ClassVar

BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
CONFLICT = 409
CONTENT_TOO_LARGE = 413
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


class ApiError(Exception):
    """
    A request that is answered with an error.

    Args:
        message: What the client reads.
        status: HTTP status.
        code: Stripe's machine-readable code, where the facts about Stripe give one.
        param: The request parameter at fault, bracketed as it was sent.
        executed: Whether the refusal came after the parameters were found well-formed, so that an
            idempotency key may be answered with it again.
    """

    kind: ClassVar[str | None] = "invalid_request_error"
    should_retry: ClassVar[bool] = False
    extra_headers: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        message: str,
        *,
        status: int = BAD_REQUEST,
        code: str | None = None,
        param: str | None = None,
        executed: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.executed = executed

    def body(self) -> dict[str, object]:
        """Return the JSON document of the answer; a field that is not known stays away, as with Stripe."""
        error = {"type": self.kind, "code": self.code, "message": self.message, "param": self.param}
        # What a client sent may stand in a message, and headers can hold bytes that are no text.
        return {"error": {name: _sound(value) for name, value in error.items() if value is not None}}


class IdempotencyMismatchError(ApiError):
    """An idempotency key came back with other parameters."""

    kind = "idempotency_error"


class ConcurrentKeyError(ApiError):
    """A second request came with an idempotency key whose first request is not answered yet."""

    should_retry = True


class LockedError(ApiError):
    """A call for the same customer and meter is open."""

    should_retry = True


class RateLimitedError(ApiError):
    """More meter events in a second than the simulator was told to take."""

    extra_headers: ClassVar[dict[str, str]] = {"Stripe-Rate-Limited-Reason": "endpoint-rate"}


class InternalError(ApiError):
    """The simulator itself failed; the client sees what Stripe shows when it does."""

    kind = "api_error"
    should_retry = True


def missing_parameter(name: str) -> ApiError:
    """Return the refusal of a request that lacks a required parameter."""
    return ApiError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def unknown_parameter(name: str) -> ApiError:
    """Return the refusal of a parameter that the endpoint does not have."""
    return ApiError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def no_such_object(kind: str, object_id: str, *, param: str, status: int = NOT_FOUND) -> ApiError:
    """Return the refusal of an id that nothing has."""
    return ApiError(
        f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param, executed=True
    )


def unrecognized_url(method: str, path: str) -> ApiError:
    """Return the refusal of a path that does not exist."""
    return ApiError(f"Unrecognized request URL ({method}: {path}).", status=NOT_FOUND)


def wrong_method(method: str, path: str) -> ApiError:
    """Return the refusal of a method that a path does not have."""
    return ApiError(f"Unrecognized request URL ({method}: {path}).", status=METHOD_NOT_ALLOWED)


def _sound(text: str) -> str:
    return text.encode(errors="replace").decode()
