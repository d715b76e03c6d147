"""The JSON bodies of v2."""

from typing import TypeVar

import msgspec

from meterledger.simulator.protocol.api_errors import ApiError

_SHOWN_CHARACTERS = 200  # of what is wrong with a body; the names in it are the client's

T = TypeVar("T")


def parse_json(body: bytes) -> object:
    """
    Decode a body; None where there is none.

    Raises:
        ApiError: It is no JSON.
    """
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _no_json() from None


def parse_typed(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """
    Decode a body straight into what it has to be, for those that come often and are large.

    Raises:
        ApiError: It is no JSON, or JSON of another form.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as failure:
        raise _malformed(failure) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _no_json() from None


def read_document(document: object, form: type[T]) -> T:
    """
    Return a decoded body as what it has to be; unknown fields are refused where the form forbids them.

    Raises:
        ApiError: `parameter_missing`, `parameter_unknown` or `parameter_invalid`.
    """
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as failure:
        raise _malformed(failure) from None


def _no_json() -> ApiError:
    return ApiError("The request's body is no JSON.")


def _malformed(failure: msgspec.ValidationError) -> ApiError:
    words = str(failure)
    if "missing required field" in words:
        code = "parameter_missing"
    elif "unknown field" in words:
        code = "parameter_unknown"
    else:
        code = "parameter_invalid"
    return ApiError(f"Invalid request body: {words[:_SHOWN_CHARACTERS]}", code=code)
