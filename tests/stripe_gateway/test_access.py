"""Keys, modes and hosts: what is taken, what is refused, and that the key is never shown."""

import dataclasses
from pathlib import Path

import pytest

from meterledger.errors import UsageError
from meterledger.stripe_gateway.access import (
    STRIPE_BASE,
    StripeAccess,
    base_address,
    is_loopback,
    read_access,
)

SECRET = "4eC39HqLyjWDarjtT1zdp7dc"


@pytest.mark.parametrize(
    ("prefix", "mode"),
    [("sk_test_", "test"), ("rk_test_", "test"), ("sk_live_", "live"), ("rk_live_", "live")],
)
def test_the_kind_of_a_key_tells_its_mode(prefix: str, mode: str) -> None:
    """Secret and restricted keys of both modes are taken; Stripe's own host is the default."""
    access = read_access({"STRIPE_API_KEY": f"  {prefix}{SECRET}\n"})
    assert (access.key, access.mode, access.base) == (f"{prefix}{SECRET}", mode, STRIPE_BASE)
    assert access.is_stripe
    assert not access.is_loopback


@pytest.mark.parametrize(
    "key",
    [
        f"pk_test_{SECRET}",
        f"pk_live_{SECRET}",
        f"whsec_{SECRET}",
        f"SK_TEST_{SECRET}",
        SECRET,
        f"sk_test_{SECRET} x",
        f"sk_test_{SECRET}\nX-Evil: 1",
        f"sk_test_{SECRET}é",
        f"sk_test_{SECRET}\x00",
    ],
)
def test_what_is_no_secret_key_is_refused_unseen(key: str) -> None:
    """Anything else is refused, and the message does not repeat it."""
    with pytest.raises(UsageError) as caught:
        read_access({"STRIPE_API_KEY": key})
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("environment", [{}, {"STRIPE_API_KEY": ""}, {"STRIPE_API_KEY": " \n"}])
def test_no_key_is_refused_with_a_hint(environment: dict[str, str]) -> None:
    """Without a key the way to give one is told."""
    with pytest.raises(UsageError) as caught:
        read_access(environment)
    assert "STRIPE_API_KEY" in caught.value.hint


def test_a_key_file_comes_before_the_environment(tmp_path: Path) -> None:
    """The file that was named holds, white space around the key is stripped."""
    file = tmp_path / "key"
    file.write_text(f"\n rk_live_{SECRET} \n", encoding="utf-8")
    access = read_access({"STRIPE_API_KEY": "sk_test_x"}, file)
    assert (access.key, access.mode) == (f"rk_live_{SECRET}", "live")


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Missing, empty, binary, or far too long: each is an error of use and shows nothing of itself."""
    (tmp_path / "empty").touch()
    (tmp_path / "long").write_text(f"sk_test_{SECRET}" * 100, encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    for name in ("missing", "empty", "long", "binary", "."):
        with pytest.raises(UsageError) as caught:
            read_access({"STRIPE_API_KEY": "sk_test_x"}, tmp_path / name)
        assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "base",
    [
        "https://api.stripe.com",
        "https://meter-events.stripe.com",
        "https://api.stripe.com:8443",
        "http://127.0.0.1:12111",
        "http://127.8.9.10:1",
        "http://localhost:12111",
        "http://[::1]:12111",
    ],
)
def test_a_live_key_goes_to_stripe_or_to_this_machine(base: str) -> None:
    """Both are fine for a live key."""
    assert read_access({"STRIPE_API_KEY": f"sk_live_{SECRET}", "STRIPE_API_BASE": base}).base == base


@pytest.mark.parametrize(
    "base",
    [
        "http://api.stripe.com",
        "https://api.stripe.com.evil.example",
        "https://evilstripe.com",
        "https://stripe.com.example",
        "https://api-stripe.com",
        "http://192.168.0.10:12111",
        "http://0.0.0.0:12111",
        "http://localhost.example:12111",
        "http://127.0.0.1.example",
        "https://example.com",
    ],
)
def test_a_live_key_goes_nowhere_else(base: str) -> None:
    """Any other host is refused for a live key, and taken for a test key."""
    with pytest.raises(UsageError) as caught:
        read_access({"STRIPE_API_KEY": f"sk_live_{SECRET}", "STRIPE_API_BASE": base})
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    assert read_access({"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": base}).mode == "test"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", STRIPE_BASE),
        ("   ", STRIPE_BASE),
        ("https://api.stripe.com/", "https://api.stripe.com"),
        ("HTTPS://API.Stripe.COM:443", "https://api.stripe.com"),
        ("http://LOCALHOST:80/", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        (" http://127.0.0.1:12111 ", "http://127.0.0.1:12111"),
        ("http://[::1]:12111/", "http://[::1]:12111"),
    ],
)
def test_a_base_address_has_one_spelling(text: str, normal: str) -> None:
    """The same host is always bound under the same text."""
    assert base_address({"STRIPE_API_BASE": text}) == normal


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:12111",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://:12111",
        "http://localhost:port",
        "http://localhost:99999",
        "http://localhost:0",
        "http://localhost/v1",
        "http://localhost?x=1",
        "http://localhost#x",
        "http://user@localhost",
        "http://user:secret@localhost",
        "http://:secret@localhost",
        "http://127.0.0.1:1@evil.example",
        "http://[::1",
    ],
)
def test_what_is_no_base_address_is_refused(text: str) -> None:
    """Paths, users, unreadable ports and the like are errors of use, and a password is not repeated."""
    with pytest.raises(UsageError) as caught:
        base_address({"STRIPE_API_BASE": text})
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.1", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    """Every loopback address is."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.0.0.1", "localhost.", "127.1", "example.com", "::"])  # noqa: S104
def test_nothing_else_is_loopback(host: str) -> None:
    """What could lead elsewhere does not count as this machine."""
    assert not is_loopback(host)


def test_the_key_is_never_shown() -> None:
    """Neither repr nor str nor formatting shows it."""
    access = StripeAccess(key=f"sk_live_{SECRET}", mode="live", base=STRIPE_BASE)
    assert SECRET not in f"{access} {access!r} {[access]}"
    assert SECRET not in repr(dataclasses.replace(access, mode="test"))


@pytest.mark.parametrize(
    "host",
    [
        "exa mple",
        "a..b",
        ".invalid",
        "é.invalid",
        "\N{ARABIC-INDIC DIGIT ONE}27.0.0.1",
        "a" * 64,
        ".".join(["a" * 63] * 5),
        "a\x7fb",
        "x\udcff",
        "a%41b",
        "a<b",
        "*",
        "[fe80::1%25eth0]",
        "[1.2.3.4]",
        "[zz::]",
    ],
)
def test_odd_characters_in_a_host_are_refused(host: str) -> None:
    """What no resolver takes is an error of use, before anything tries to resolve it."""
    with pytest.raises(UsageError, match="no base address"):
        base_address({"STRIPE_API_BASE": f"http://{host}:12111"})


def access_by(**environment: str) -> StripeAccess:
    """Read the access of an environment with a key."""
    return read_access({"STRIPE_API_KEY": "sk_test_x", **environment})


def test_the_stream_has_a_host_of_its_own_at_stripe() -> None:
    """At Stripe it is another host; elsewhere it is the API's, unless it is named."""
    assert access_by().meter_events_base == "https://meter-events.stripe.com"
    local = "http://127.0.0.1:12111"
    assert access_by(STRIPE_API_BASE=local).meter_events_base == local
    other = "http://127.0.0.1:12112"
    named = access_by(STRIPE_API_BASE=local, STRIPE_METER_EVENTS_BASE=other + "/")
    assert (named.base, named.meter_events_base) == (local, other)


@pytest.mark.parametrize(
    ("key", "api", "stream"),
    [
        ("sk_live_x", "https://api.stripe.com", "https://example.com"),
        ("sk_live_x", "http://127.0.0.1:1", "http://example.com"),
        ("sk_live_x", "https://api.stripe.com", "http://meter-events.stripe.com"),
        ("sk_test_x", "https://api.stripe.com", "http://127.0.0.1:12111"),
        ("sk_test_x", "http://127.0.0.1:12111", "https://meter-events.stripe.com"),
        ("sk_test_x", "http://127.0.0.1:12111", "no address"),
    ],
)
def test_no_usage_is_streamed_to_where_it_does_not_belong(key: str, api: str, stream: str) -> None:
    """The live-key rule holds for the stream's host, and both hosts are of one Stripe."""
    with pytest.raises(UsageError):
        read_access({"STRIPE_API_KEY": key, "STRIPE_API_BASE": api, "STRIPE_METER_EVENTS_BASE": stream})
