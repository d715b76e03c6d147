"""The refusals of the simulated API, in the shape Stripe gives its errors."""

from enum import Enum, auto
from typing import ClassVar, Literal

BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
CONFLICT = 409
CONTENT_TOO_LARGE = 413
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

_DOCUMENTATION = "https://docs.stripe.com/error-codes"

_V2_CODES = {  # every refusal of v2 has a code; these stand for those that have none of their own
    UNAUTHORIZED: "invalid_api_key",
    FORBIDDEN: "forbidden",
    NOT_FOUND: "not_found",
    METHOD_NOT_ALLOWED: "method_not_allowed",
    CONTENT_TOO_LARGE: "content_too_large",
    SERVER_ERROR: "internal_error",
}
_V2_CODE = "invalid_request"

RateReason = Literal[
    "global-rate", "global-concurrency", "endpoint-rate", "endpoint-concurrency", "resource-specific"
]


class Dialect(Enum):
    """How a refusal is written down."""

    V1 = auto()
    V2 = auto()
    V2_TYPED = auto()  # v2, with a type on every refusal


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

    kind: ClassVar[str] = "invalid_request_error"
    v2_kind: ClassVar[str | None] = None  # the type that v2 gives it in any case
    doc_url: ClassVar[str | None] = None
    should_retry: ClassVar[bool] = False

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

    @property
    def extra_headers(self) -> dict[str, str]:
        """The headers of this refusal alone."""
        return {}

    def body(self, dialect: Dialect = Dialect.V1) -> dict[str, object]:
        """Return the JSON document of the answer; a field that is not known stays away, as with Stripe."""
        error: dict[str, str | None]
        if dialect is Dialect.V1:
            error = {"type": self.kind, "code": self.code, "message": self.message, "param": self.param}
        else:
            typed = self.kind if dialect is Dialect.V2_TYPED else None
            code = self.code or _V2_CODES.get(self.status, _V2_CODE)
            error = {"type": self.v2_kind or typed, "code": code, "message": self.message}
        error["doc_url"] = self.doc_url
        # What a client sent may stand in a message, and headers can hold bytes that are no text.
        return {"error": {name: sound(value) for name, value in error.items() if value is not None}}


class IdempotencyMismatchError(ApiError):
    """An idempotency key came back with other parameters."""

    kind = "idempotency_error"
    v2_kind = "idempotency_error"


class ConcurrentKeyError(ApiError):
    """A second request came with an idempotency key whose first request is not answered yet."""

    should_retry = True


class LockedError(ApiError):
    """A call for the same customer and meter is open."""

    should_retry = True


class SessionExpiredError(ApiError):
    """The token of a stream session came after its 15 minutes."""

    kind = "temporary_session_expired"
    v2_kind = "temporary_session_expired"
    doc_url = _DOCUMENTATION


class RateLimitedError(ApiError):
    """
    More calls in a second than are taken.

    Args:
        reason: Which kind of limit was reached.
    """

    v2_kind = "rate_limit"

    def __init__(self, reason: RateReason) -> None:
        super().__init__(
            "Too many requests in too short a time. Slow down and try again.",
            status=TOO_MANY_REQUESTS,
            code="rate_limit",
        )
        self.reason = reason

    @property
    def extra_headers(self) -> dict[str, str]:
        """The reason, by which clients tell a limit from a lock."""
        return {"Stripe-Rate-Limited-Reason": self.reason}


class InternalError(ApiError):
    """The simulator itself failed; the client sees what Stripe shows when it does."""

    kind = "api_error"
    v2_kind = "api_error"
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


def sound(text: str) -> str:
    """Return a text with a question mark for each byte of a header or a path that is no text."""
    return text.encode(errors="replace").decode()
