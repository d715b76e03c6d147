"""Form-encoded parameters, read by their bracketed names and refused the way Stripe refuses them."""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from meterledger.simulator.protocol.api_errors import ApiError, missing_parameter, unknown_parameter

MAX_FIELDS = 1000  # per request; far above any real one, a limit for runaway clients

_INTEGER = re.compile(r"-?[0-9]{1,15}")


def parse_form(encoded: bytes | str) -> list[tuple[str, str]]:
    """
    Split a form body or a query string into its decoded pairs, in the order sent.

    Raises:
        ApiError: The bytes are no UTF-8, or there are more than `MAX_FIELDS` fields.
    """
    try:
        text = encoded.decode() if isinstance(encoded, bytes) else encoded
        text.encode()  # a query may carry raw bytes that are no text, hidden as surrogates
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as failure:
        raise ApiError("The request's parameters could not be read.") from failure


class Parameters:
    """The parameters of one request, flat: `cancel[identifier]` is a name like any other."""

    __slots__ = ("_pairs", "fields")

    def __init__(self, pairs: Collection[tuple[str, str]]) -> None:
        self.fields = dict(pairs)
        self._pairs = pairs

    def allow(self, names: Collection[str], families: tuple[str, ...] = ("expand[",)) -> None:
        """
        Refuse every parameter that is neither one of the names nor of one of the families.

        Args:
            names: The parameters of the endpoint.
            families: Openings of bracketed names that are taken whatever stands in the brackets.

        Raises:
            ApiError: `parameter_unknown`, naming the first one.
        """
        for name in self.fields:
            if name not in names and not name.startswith(families):
                raise unknown_parameter(name)

    def optional_text(self, name: str, *, max_length: int) -> str | None:
        """
        Return a parameter's text, or None where it was not sent.

        Raises:
            ApiError: It is empty, or longer than `max_length` characters.
        """
        value = self.fields.get(name)
        if value is None:
            return None
        if not value:
            raise ApiError(
                f"You passed an empty string for '{name}'; leave the parameter out instead.",
                code="parameter_invalid_empty",
                param=name,
            )
        if len(value) > max_length:
            raise ApiError(f"Invalid string for {name}: must be at most {max_length} characters", param=name)
        return value

    def text(self, name: str, *, max_length: int) -> str:
        """
        Return a required parameter's text.

        Raises:
            ApiError: It is missing, empty, or longer than `max_length` characters.
        """
        value = self.optional_text(name, max_length=max_length)
        if value is None:
            raise missing_parameter(name)
        return value

    def optional_choice(self, name: str, choices: Collection[str]) -> str | None:
        """
        Return a parameter that must be one of a few words, or None where it was not sent.

        Raises:
            ApiError: It is another word.
        """
        value = self.fields.get(name)
        if value is None or value in choices:
            return value
        raise ApiError(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)

    def choice(self, name: str, choices: Collection[str]) -> str:
        """
        Return a required parameter that must be one of a few words.

        Raises:
            ApiError: It is missing or another word.
        """
        value = self.optional_choice(name, choices)
        if value is None:
            raise missing_parameter(name)
        return value

    def optional_integer(self, name: str) -> int | None:
        """
        Return a parameter as an integer of at most 15 digits, or None where it was not sent.

        Raises:
            ApiError: `parameter_invalid_integer`.
        """
        value = self.fields.get(name)
        if value is None:
            return None
        if _INTEGER.fullmatch(value) is None:
            raise ApiError(f"Invalid integer: {value[:40]}", code="parameter_invalid_integer", param=name)
        return int(value)

    def integer(self, name: str) -> int:
        """
        Return a required integer parameter.

        Raises:
            ApiError: It is missing or no integer.
        """
        value = self.optional_integer(name)
        if value is None:
            raise missing_parameter(name)
        return value

    def items(self, name: str, *, max_items: int, max_length: int) -> list[str]:
        """
        Return a list sent as `name[0]`, `name[1]` or as `name[]` again and again, in the order sent.

        Raises:
            ApiError: There are more than `max_items`, or one is empty or longer than `max_length` characters.
        """
        place = re.compile(re.escape(name) + r"\[[0-9]*\]")
        found = [(full, value) for full, value in self._pairs if place.fullmatch(full)]
        if len(found) > max_items:
            raise ApiError(f"Invalid {name}: at most {max_items} can be sent", param=name)
        for full, value in found:
            if not 0 < len(value) <= max_length:
                raise ApiError(f"Invalid {full}: send 1 to {max_length} characters", param=full)
        return [value for _, value in found]

    def family(self, name: str) -> dict[str, str]:
        """
        Return the flat map sent as `name[key]=value`, in the order sent.

        Raises:
            ApiError: It came as one string, as a list, or with maps inside.
        """
        if name in self.fields:
            raise ApiError("Invalid object", param=name)
        opening = f"{name}["
        start = len(opening)
        found = {}
        for full, value in self.fields.items():
            if full.startswith(opening):
                key = full[start:-1]
                if not key or full[-1] != "]" or "[" in key or "]" in key:
                    raise ApiError(f"Invalid {name}: a flat map of strings is expected", param=full)
                found[key] = value
        return found
