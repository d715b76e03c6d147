"""Plans of faults: what is read from TOML and JSON, and what is refused, and on which line."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterledger.simulator.faults.kinds import Kind
from meterledger.simulator.faults.lines import LineFinder, Path, read_tokens
from meterledger.simulator.faults.plan import MAX_FAULTS, FaultPlan, with_random
from meterledger.simulator.faults.reading import MAX_PLAN_BYTES, PlanError, is_toml, read_plan
from meterledger.simulator.routes import PATTERNS
from simulator.conversation import Conversation

TOML = """\
# a comment with [brackets] and a "quote
[random]
seed = 7
rate = 0.05
kinds = [
  "slow",
  "reset",
]

[[faults]]
kind = "server_error"
stored = false
times = 2

[[faults]]
kind = "slow"
on = "/v1/customers/{id}"
delay = "20ms"
"""


def read(text: str, *, toml: bool = True) -> FaultPlan:
    """Read a plan called `plan`."""
    return read_plan(text.encode(), source="plan", toml=toml, patterns=PATTERNS)


def refusal(text: str, *, toml: bool = True) -> str:
    """Return the words in which a plan is refused."""
    with pytest.raises(PlanError) as caught:
        read(text, toml=toml)
    return str(caught.value)


def test_toml_and_json_say_the_same() -> None:
    """A plan in TOML and the same plan in JSON are read alike, with every default in its place."""
    plan = read(TOML)
    assert read(json.dumps(tomllib.loads(TOML)), toml=False) == plan
    assert plan.random.kinds == (Kind.SLOW, Kind.RESET)
    error, slow = plan.faults
    assert (error.is_stored, error.most, error.place, error.status) == (False, 2, "meter_events", 500)
    assert (slow.delay_seconds, slow.most, slow.place) == (0.02, 1, "/v1/customers/{id}")
    assert read("") == FaultPlan()


@pytest.mark.parametrize(
    ("fault", "most", "place"),
    [
        ({"kind": "answer_lost"}, 1, "meter_events"),
        ({"kind": "answer_lost", "every": 3}, 0, "meter_events"),
        ({"kind": "answer_lost", "chance": 0.5}, 0, "meter_events"),
        ({"kind": "answer_lost", "chance": 0.5, "times": 2}, 2, "meter_events"),
        ({"kind": "answer_lost", "method": "GET"}, 1, "all"),
        ({"kind": "session_expired"}, 1, "stream"),
        ({"kind": "reports_partial", "samples": 0}, 0, "core_events"),
        ({"kind": "summaries_lag", "delay": "1m"}, 0, "event_summaries"),
    ],
)
def test_what_is_left_out(fault: dict[str, object], most: int, place: str) -> None:
    """A fault strikes once unless it says otherwise, and meter events unless its kind says otherwise."""
    (found,) = read(json.dumps({"faults": [fault]}), toml=False).faults
    assert (found.most, found.place) == (most, place)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb = = 2\n", "plan, line 2: no TOML: Invalid value"),
        ("[[faults]]\nkind = 'slow'\nkind = 'slow'\n", "plan, line 3: no TOML: Cannot overwrite a value"),
        ("\nfaults = [", "plan, line 2: no TOML: "),
        ("\nseed = " + "9" * 19, "plan, line 2: a number has at most 18 digits"),
        ("[random]\nseed = 0x" + "f" * 400, "plan, line 2: random, seed: Expected `int` <= 1000000000000000"),
        ("\n\nfault = []\n", "plan, line 3: fault: there is no such key here; did you mean 'faults'?"),
        ("faults = 1\n", "plan, line 1: faults: this is no list of faults"),
        ("\nfaults = [\n  1,\n]", "plan, line 3: fault 1: this is no table of keys and values"),
        ("\n[[faults]]\ntimes = 1\n", "plan, line 2: fault 1: a fault has a kind; allowed: answer_lost, "),
        (
            "[[faults]]\nkind = 'reset'\n[[faults]]\n\nkind = 'anser_lost'\n",
            "plan, line 5: fault 2, kind: 'anser_lost' is none of its words; did you mean 'answer_lost'? ",
        ),
        ("[[faults]]\nkind = 3\n", "plan, line 2: fault 1, kind: this is no text; allowed: answer_lost"),
        (
            "[[faults]]\nkind = 'slow'\ndelay = '3s'\nskipp = 1",
            "plan, line 4: fault 1, skipp: there is no such key here; did you mean 'skip'? allowed: kind, on",
        ),
        ("[[faults]]\nkind = 'slow'\n", "plan, line 1: fault 1: slow needs delay"),
        ("[[faults]]\nkind = 'reports_partial'\n", "plan, line 1: fault 1: reports_partial needs samples"),
        (
            "[[faults]]\nkind = 'slow'\ndelay = 3\n",
            "plan, line 3: fault 1, delay: Expected `str`, got `int`",
        ),
        ("[[faults]]\nkind = 'slow'\ndelay = '3 s'\n", "plan, line 3: fault 1, delay: '3 s' is no duration"),
        (
            "[[faults]]\nkind = 'slow'\ndelay = '31d'\n",
            "plan, line 3: fault 1, delay: a delay is at most 30d",
        ),
        (
            "[[faults]]\nkind = 'reset'\n'skip' = -1\n",
            "plan, line 3: fault 1, skip: Expected `int` >= 0",
        ),
        ("[[faults]]\nkind = 'reset'\nchance = nan\n", "plan, line 3: fault 1, chance: Expected `float`"),
        ("[[faults]]\nkind = 'reset'\nevery = 0\n", "plan, line 3: fault 1, every: Expected `int` >= 1"),
        (
            "[[faults]]\nkind = 'reset'\non = 'metr_events'\n",
            "plan, line 3: fault 1, on: 'metr_events' is none of its words; did you mean 'meter_events'?",
        ),
        (
            "[[faults]]\nkind = 'rate_limited'\nreason = 'endpoint'\n",
            "plan, line 3: fault 1, reason: 'endpoint' is none of its words; did you mean 'endpoint-rate'?",
        ),
        ("[[faults]]\nkind = 'slow'\nstored = true\n", "plan, line 3: fault 1, stored: there is no such key"),
        (
            "[[faults]]\nkind = 'summaries_lag'\nskip = 1\ndelay = '1s'",
            "plan, line 3: fault 1, skip: there is no such key here; allowed: kind, delay",
        ),
        ("[random]\nrate = 1.5\n", "plan, line 2: random, rate: Expected `float` <= 1.0"),
        ("random.rate = 2\n", "plan, line 1: random, rate: Expected `float` <= 1.0"),
        ("[random]\nsed = 1\n", "plan, line 2: random, sed: there is no such key here; did you mean 'seed'?"),
        (
            "[random]\nkinds = [\n'slow',\n'slo']",
            "plan, line 4: random, kinds, 2: 'slo' is none of its words",
        ),
        ("[random]\nkinds = []", "plan, line 2: random, kinds: there is none; allowed: answer_lost, "),
        ("[random]\nkinds = 'slow'", "plan, line 2: random, kinds: Expected `array`, got `str`"),
        ("[random]\nkinds = ['reports_late']", "plan, line 2: random, kinds, 1: 'reports_late' is none"),
        ("random = 1", "plan, line 1: random: this is no table of keys and values"),
        (
            "[[faults]]\nkind = 'reset'\nskip = 1e3",
            "plan, line 3: fault 1, skip: Expected `int`, got `float`",
        ),
    ],
)
def test_a_malformed_plan_in_toml_names_the_line(text: str, words: str) -> None:
    """Whatever is wrong in TOML: source, line, key, what is wrong, what is allowed, what was meant."""
    assert refusal(text).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n"faults": [\n}', "plan, line 3: no JSON: Expecting value"),
        ("", "plan, line 1: no JSON: Expecting value"),
        ("[]", "plan, line 1: this is no table of keys and values"),
        ('{\n"faults": [],\n"faults": []}', "plan, line 3: faults: the key stands already on line 2"),
        (
            '{"faults": [\n {"kind": "reset"},\n {"kind":\n "rest", "times": 1}]}',
            "plan, line 3: fault 2, kind: 'rest' is none of its words; did you mean 'reset'?",
        ),
        (
            '{"faults": [{"kind": "reset",\n "path": "/v1/{[,]}",\n\n "tims": 2}]}',
            "plan, line 4: fault 1, tims: there is no such key here; did you mean 'times'?",
        ),
        ('{"random":\n{"rate": NaN}}', "plan, line 2: no JSON: NaN is no number"),
        ('{"random": {\n"rate": true}}', "plan, line 2: random, rate: Expected `float`, got `bool`"),
        ('{"random":\n{"seed": ' + "9" * 5000 + "}}", "plan, line 2: a number has at most 18 digits"),
        ('{"a":\n' + "[" * 100_000 + "]" * 100_000 + "}", "plan, line 2: the plan is nested more than 20"),
        ('{"a": "', "plan, line 1: no JSON: Unterminated string"),
    ],
)
def test_a_malformed_plan_in_json_names_the_line(text: str, words: str) -> None:
    """Whatever is wrong in JSON is told as in TOML; a key that stands twice is refused too."""
    assert refusal(text, toml=False).startswith(words)


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    """A plan that is no UTF-8 names the line of the first bad byte."""
    with pytest.raises(PlanError, match="plan, line 3: this is no UTF-8"):
        read_plan(b"\n\n\xff", source="plan", toml=True, patterns=PATTERNS)


def test_plans_are_bounded() -> None:
    """1,000 faults and 1 MiB are taken, one more of either is refused."""
    fault = '{"kind": "reset"}'
    full = ",".join([fault] * MAX_FAULTS)
    assert len(read(f'{{"faults": [{full}]}}', toml=False).faults) == MAX_FAULTS
    assert "at most 1000 faults" in refusal(f'{{"faults": [{full},\n{fault}]}}', toml=False)
    assert refusal(f'{{"faults": [{full},\n{fault}]}}', toml=False).startswith("plan, line 2: fault 1001: ")
    assert read("#" * MAX_PLAN_BYTES) == FaultPlan()
    assert "at most 1048576 bytes" in refusal("#" * (MAX_PLAN_BYTES + 1))


def test_over_http_the_words_are_the_same_and_the_plan_stays() -> None:
    """A malformed body is a 400 with the line, in JSON and in TOML; what was in force goes on."""
    talk = Conversation()
    assert talk.faults({"kind": "reset", "times": 5}).status == 200
    in_json = talk.call("POST", "/_simulator/faults", body=b'{\n"fault": []}')
    assert (in_json.status, in_json.error["message"].partition(";")[0]) == (
        400,
        "request body, line 2: fault: there is no such key here",
    )
    in_toml = talk.call(
        "POST",
        "/_simulator/faults",
        body=b"\n[[faults]]\nkind = 'x'",
        headers={"Content-Type": "application/toml; charset=utf-8"},
    )
    assert in_toml.error["message"].startswith("request body, line 3: fault 1, kind: 'x' is none")
    (fault,) = talk.get("/_simulator/faults").document["faults"]
    assert fault == {"number": 1, "kind": "reset", "times": 5, "matched": 0, "struck": 0}


def test_a_plan_in_toml_that_came_as_a_form_is_told_its_type() -> None:
    """What curl sends without a header is read as JSON; the refusal names the header that TOML needs."""
    body = b"[[faults]]\nkind = 'reset'\n"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = Conversation().call("POST", "/_simulator/faults", body=body, headers=headers)
    assert reply.error["message"].endswith("TOML needs Content-Type: application/toml")


def test_a_place_that_is_none_is_told_the_names_and_not_every_path() -> None:
    """The names fit a screen; that paths are taken too is said in words."""
    body = b'{"faults": [{"kind": "reset", "on": "/v1/nope"}]}'
    headers = {"Content-Type": "application/json"}
    message = Conversation().call("POST", "/_simulator/faults", body=body, headers=headers).error["message"]
    assert message.endswith("core_events, or an endpoint's path")
    assert "/v1/customers" not in message


def test_flags_change_the_seed_and_the_rate() -> None:
    """A seed and a rate from elsewhere take the place of the plan's; what is no share is refused."""
    plan = with_random(read(TOML), seed=None, rate=0.5)
    assert (plan.random.seed, plan.random.rate, len(plan.faults)) == (7, 0.5, 2)
    assert with_random(plan, seed=9, rate=None).random.seed == 9
    for seed, rate in ((-1, None), (None, 1.1), (None, float("nan"))):
        with pytest.raises(ValueError, match=r"seed|rate"):
            with_random(plan, seed=seed, rate=rate)


def test_a_files_name_tells_its_form() -> None:
    """What ends in .json is JSON, everything else is TOML."""
    assert [is_toml(name) for name in ("a.json", "A.JSON", "a.toml", "a")] == [False, False, True, True]


KEYS = st.text(st.characters(categories=["L", "P", "Z"], codec="utf-8"), max_size=6)
VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.none(), KEYS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def paths(value: object, path: Path = ()) -> list[Path]:
    """Return the path of every key and item in a value."""
    match value:
        case dict():
            parts: list[tuple[str | int, object]] = list(value.items())
        case list():
            parts = list(enumerate(value))
        case _:
            return []
    return [found for part, inner in parts for found in ((*path, part), *paths(inner, (*path, part)))]


@given(VALUES, st.booleans())
def test_every_key_of_json_has_a_line(value: object, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    """In any JSON each key and item is found once, where it stands: with an indent no two share a line."""
    text = json.dumps(value, indent=1, ensure_ascii=ascii_only)
    found = LineFinder(read_tokens(text), toml=False).found
    assert [path for path, _ in found] == paths(value)
    lines = [line for _, line in found]
    assert lines == sorted(set(lines))


def test_every_key_of_toml_has_a_line() -> None:
    """Headers, dotted and quoted keys, strings over lines, dates and comments do not confuse the lines."""
    text = '''\
title = """
[[faults]]
x = 1"""
'a.b' . c = 1979-05-27T07:32:00-08:00 # c = 2
lit = \'\'\'
'\'\'\'
[t."x y"]
v = { a = [1, 2], b.c = "}" }
[[t.list]]
n = 07:32:00
[t.list.sub]
m = 1
[[t.list]]
n = [
  "#",
  ']',
]
'''
    found = LineFinder(read_tokens(text), toml=True).found
    assert dict(found) == {
        ("title",): 1,
        ("a.b", "c"): 4,
        ("lit",): 5,
        ("t", "x y"): 7,
        ("t", "x y", "v"): 8,
        ("t", "x y", "v", "a"): 8,
        ("t", "x y", "v", "a", 0): 8,
        ("t", "x y", "v", "a", 1): 8,
        ("t", "x y", "v", "b", "c"): 8,
        ("t", "list", 0): 9,
        ("t", "list", 0, "n"): 10,
        ("t", "list", 0, "sub"): 11,
        ("t", "list", 0, "sub", "m"): 12,
        ("t", "list", 1): 13,
        ("t", "list", 1, "n"): 14,
        ("t", "list", 1, "n", 0): 15,
        ("t", "list", 1, "n", 1): 16,
    }
    tomllib.loads(text)


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    """JSON can name what no text has; a plan with it is refused, since no page could show it."""
    talk = Conversation()
    reply = talk.faults({"kind": "slow", "delay": "1s", "path": "\ud800"})
    assert (reply.status, "fault 1, path" in reply.error["message"]) == (400, True)
    assert talk.get("/_simulator/faults").document["faults"] == []
