"""Reads a plan of faults from TOML or JSON, and says on which line it is malformed."""

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import NoReturn, TypeVar

import msgspec

from meterledger.simulator.faults.fault import Fault
from meterledger.simulator.faults.kinds import RANDOM_KINDS, REASONS, Kind, keys_of, required_keys
from meterledger.simulator.faults.lines import LineFinder, Path, Token, read_tokens
from meterledger.simulator.faults.places import NAMES
from meterledger.simulator.faults.plan import MAX_FAULTS, FaultPlan, RandomFaults
from meterledger.simulator.instants import DAY_SECONDS, parse_duration
from meterledger.simulator.protocol.api_errors import sound

MAX_PLAN_BYTES = 1024 * 1024
MAX_DEPTH = 20  # of tables and arrays in each other
MAX_DIGITS = 18
MAX_DELAY_DAYS = 30
MAX_DELAY_SECONDS = MAX_DELAY_DAYS * DAY_SECONDS
METHODS = ("GET", "POST", "DELETE")

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
_DIGITS = re.compile(r"[-+]?[0-9_]+")
_PLAN_KEYS = ("faults", "random")
_CLOSE_ENOUGH = 0.6
_SHOWN = 60  # characters of what stands in the plan
_SHOWN_WORDS = 200  # characters of what is wrong with a value

_Form = TypeVar("_Form", Fault, RandomFaults)


class PlanError(ValueError):
    """A plan that is refused; the message names the source, the line, the key and what is allowed."""


def read_plan(text: bytes, *, source: str, toml: bool, patterns: Collection[str]) -> FaultPlan:
    """
    Read a plan.

    Args:
        text: The plan, at most 1 MiB.
        source: What a refusal calls it, e.g. the file's name.
        toml: Whether it is TOML, not JSON.
        patterns: The patterns of the API's paths.

    Raises:
        PlanError: It is malformed.
    """
    return _PlanReader(text, source, toml=toml, patterns=patterns).read()


def is_toml(file_name: str) -> bool:
    """Tell by a file's name whether it is TOML; what does not end in .json is."""
    return not file_name.lower().endswith(".json")


class _PlanReader:
    def __init__(self, text: bytes, source: str, *, toml: bool, patterns: Collection[str]) -> None:
        self._source = source
        self._toml = toml
        self._places = (*NAMES, *sorted(patterns))
        if len(text) > MAX_PLAN_BYTES:
            self._refuse(1, "", f"a plan has at most {MAX_PLAN_BYTES} bytes, this one has {len(text)}")
        try:
            self._text = text.decode()
        except UnicodeDecodeError as failure:
            self._refuse(text.count(b"\n", 0, failure.start) + 1, "", "this is no UTF-8")
        self._lines: dict[Path, int] = {}

    def read(self) -> FaultPlan:
        plan = self._table(self._parsed(), ())
        self._check_names(plan, (), _PLAN_KEYS)
        faults = plan.get("faults", [])
        if not isinstance(faults, list):
            self._refuse_at(("faults",), "this is no list of faults")
        if len(faults) > MAX_FAULTS:
            self._refuse_at(("faults", MAX_FAULTS), f"a plan has at most {MAX_FAULTS} faults")
        return FaultPlan(
            faults=tuple(
                self._fault(self._table(given, ("faults", place)), ("faults", place))
                for place, given in enumerate(faults)
            ),
            random=self._random(self._table(plan.get("random", {}), ("random",))),
        )

    def _parsed(self) -> object:
        tokens = read_tokens(self._text)
        self._check_tokens(tokens)
        try:
            parsed: object = tomllib.loads(self._text) if self._toml else json.loads(self._text)
        except json.JSONDecodeError as failure:
            self._refuse(failure.lineno, "", f"no JSON: {failure.msg}")
        except tomllib.TOMLDecodeError as failure:
            self._refuse_toml(str(failure))
        found = LineFinder(tokens, toml=self._toml).found
        for path, line in found:
            if path in self._lines and not self._toml:
                self._refuse(line, _named(path), f"the key stands already on line {self._lines[path]}")
            self._lines[path] = line
        return parsed

    def _check_tokens(self, tokens: list[Token]) -> None:
        """Refuse what the parsers would take, or fail at without a line."""
        depth = 0
        for token in tokens:
            depth += (token.text in ("[", "{")) - (token.text in ("]", "}"))
            if depth > MAX_DEPTH:
                self._refuse(token.line, "", f"the plan is nested more than {MAX_DEPTH} deep")
            if token.text in _NO_NUMBERS and not self._toml:
                self._refuse(token.line, "", f"no JSON: {token.text} is no number")
            if token.kind == "bare" and len(token.text) > MAX_DIGITS and _DIGITS.fullmatch(token.text):
                self._refuse(token.line, "", f"a number has at most {MAX_DIGITS} digits")

    def _refuse_toml(self, words: str) -> NoReturn:
        match = _TOML_PLACE.search(words)
        last = self._text.count("\n") + 1
        line = last if match is None or match[1] is None else int(match[1])
        what = words if match is None else words[: match.start()]
        self._refuse(line, "", f"no TOML: {what[:_SHOWN_WORDS]}")

    def _fault(self, given: dict[str, object], path: Path) -> Fault:
        if "kind" not in given:
            self._refuse_at(path, f"a fault has a kind; {_allowed(tuple(Kind))}")
        kind = Kind(self._word(given["kind"], (*path, "kind"), tuple(Kind)))
        self._check_names(given, path, keys_of(kind))
        for key in required_keys(kind):
            if key not in given:
                self._refuse_at(path, f"{kind} needs {key}")
        self._check_words(given, path)
        return self._converted(given, path, Fault)

    def _random(self, given: dict[str, object]) -> RandomFaults:
        path: Path = ("random",)
        self._check_names(given, path, RandomFaults.__struct_fields__)
        kinds = given.get("kinds")
        if isinstance(kinds, list):
            for place, kind in enumerate(kinds):
                self._word(kind, (*path, "kinds", place), RANDOM_KINDS)
            if not kinds:
                self._refuse_at((*path, "kinds"), f"there is none; {_allowed(RANDOM_KINDS)}")
        self._check_words(given, path)
        return self._converted(given, path, RandomFaults)

    def _check_words(self, given: Mapping[str, object], path: Path) -> None:
        """Check the keys whose values are words or spans of time, and that every text is one."""
        for key, value in given.items():
            if isinstance(value, str) and sound(value) != value:
                self._refuse_at((*path, key), "this is no text: half of a surrogate pair stands in it")
        for key, words in (("on", self._places), ("reason", REASONS), ("method", METHODS)):
            if key in given:
                self._word(given[key], (*path, key), words)
        delay = given.get("delay")
        if isinstance(delay, str):
            try:
                seconds = parse_duration(delay)
            except ValueError as failure:
                self._refuse_at((*path, "delay"), str(failure))
            if seconds > MAX_DELAY_SECONDS:
                self._refuse_at((*path, "delay"), f"a delay is at most {MAX_DELAY_DAYS}d")

    def _converted(self, given: dict[str, object], path: Path, form: type[_Form]) -> _Form:
        try:
            return msgspec.convert(given, form)
        except msgspec.ValidationError as failure:
            words, _, where = str(failure).partition(" - at `$.")
            key = where.rstrip("`").partition("[")[0]
            self._refuse_at((*path, key) if key else path, words[:_SHOWN_WORDS])

    def _table(self, given: object, path: Path) -> dict[str, object]:
        if not isinstance(given, dict):
            self._refuse_at(path, "this is no table of keys and values")
        return given

    def _check_names(self, given: Mapping[str, object], path: Path, names: Collection[str]) -> None:
        for key in given:
            if key not in names:
                self._refuse_at((*path, key), f"there is no such key here{_closest(key, names)}")

    def _word(self, given: object, path: Path, words: Collection[str]) -> str:
        if not isinstance(given, str):
            self._refuse_at(path, f"this is no text; {_allowed(words)}")
        if given not in words:
            self._refuse_at(path, f"{given[:_SHOWN]!r} is none of its words{_closest(given, words)}")
        return given

    def _refuse_at(self, path: Path, what: str) -> NoReturn:
        known = path
        while known and known not in self._lines:
            known = known[:-1]
        self._refuse(self._lines.get(known, 1), _named(path), what)

    def _refuse(self, line: int, key: str, what: str) -> NoReturn:
        named = f"{key}: " if key else ""
        raise PlanError(f"{self._source}, line {line}: {named}{what}") from None


def _named(path: Path) -> str:
    """Return a path as people read it: faults and other items are counted from 1."""
    match path:
        case ("faults", int(place), *rest):
            words = [f"fault {place + 1}", *(str(part) for part in rest)]
        case _:
            words = [str(part + 1) if isinstance(part, int) else part for part in path]
    return ", ".join(word[:_SHOWN] for word in words)


def _closest(word: str, words: Collection[str]) -> str:
    near = difflib.get_close_matches(word[:_SHOWN], words, n=1, cutoff=_CLOSE_ENOUGH)
    meant = f"; did you mean '{near[0]}'?" if near else ";"
    return f"{meant} {_allowed(words)}"


def _allowed(words: Collection[str]) -> str:
    names = [word for word in words if not word.startswith("/")]
    paths = ", or an endpoint's path" if len(names) < len(words) else ""
    return f"allowed: {', '.join(names)}{paths}"
