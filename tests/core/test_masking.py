"""A mask hides what it knows and what looks like a secret, and leaves everything else alone."""

from __future__ import annotations

import pytest

from workbench.core.masking import Mask, as_kept, masked_at, secret_values, secrets_in
from workbench.errors import InputError, StoreError, without_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ws://localhost:1/ws?token=abc", "ws://localhost:1/ws?token=***"),
        ("GET /a?x=1&api_key=abc&y=2 HTTP/1.1", "GET /a?x=1&api_key=***&y=2 HTTP/1.1"),
        ("https://s3.test/f?X-Amz-Signature=ab%2F", "https://s3.test/f?X-Amz-Signature=***"),
        ("http://me:word@host/path", "http://***@host/path"),
        ("Authorization: Bearer abcdef123", "Authorization: Bearer ***"),
        ('Authorization: Bearer abcdef123 password="a b"', 'Authorization: Bearer ***"***"'),
        ("Cookie: a=b; secret='c d'; token=e", "Cookie: ***'***'; token=***"),
        ("HF_TOKEN=hf_abcdefgh1234 is wrong", "HF_TOKEN=*** is wrong"),
        ("mail me@example.org about tokens=5", "mail me@example.org about tokens=5"),
        ("a token, a key and basic words", "a token, a key and basic words"),
        ("https://host/path?page=2#key", "https://host/path?page=2#key"),
        ("https://h/x?private_token=ab&page=2", "https://h/x?private_token=***&page=2"),
        ("https://h/x?client_secret=ab#top", "https://h/x?client_secret=***"),
        ("https://h/x?sv=1&sig=ab%2F%3D&se=2", "https://h/x?sv=1&sig=***&se=2"),
        ("https://h/#access_token=ab&state=1", "https://h/#access_token=***&state=1"),
        ("https://h/x?user%5Bpassword%5D=ab", "https://h/x?user%5Bpassword%5D=***"),
        ("https://h/x?AWSAccessKeyId=ab&b=1", "https://h/x?AWSAccessKeyId=***&b=1"),
        ("postgres://me:p@ss@host/db", "postgres://***@host/db"),
        ("next=http%3A%2F%2Fme%3Aword%40host%2F", "next=http%3A%2F%2F***%40host%2F"),
        ("X-Api-Key: abc def", "X-Api-Key: ***"),
        ("{'x-api-key': 'abc', 'n': 1}", "{'x-api-key': '***', 'n': 1}"),
        ("[(b'cookie', b'a=b; c=d')]", "[(b'cookie', b'***')]"),
        ("Cookie: a=b; c=d\nHost: h", "Cookie: ***\nHost: h"),
        ("Set-Cookie: id=1; Secure", "Set-Cookie: ***"),
        ("Authorization: Basic bWU6d29yZA==", "Authorization: Basic ***"),
        ("{'Authorization': 'abc'}", "{'Authorization': '***'}"),
        ('{"password": "a b", "n": 1}', '{"password": "***", "n": 1}'),
        (r'"{\"api_key\": \"ab\", \"n\": 1}"', r'"{\"api_key\": \"***\", \"n\": 1}"'),
        ('{"client_secret": 1234, "n": 1}', '{"client_secret": "***", "n": 1}'),
        ("os.environ['DB_PASSWORD'] = 'ab'", "os.environ['DB_PASSWORD'] = '***'"),
        ("['MY_API_KEY', 'MY_HOME', 'X']", "['MY_API_KEY', 'MY_HOME', 'X']"),
        ("['--token', 'my_word', 'x']", "['--token', '***', 'x']"),
        ("('MY_API_KEY', 'JBSWY3DPEHPK3PXP')", "('MY_API_KEY', '***')"),
        ("{'MY_API_KEY': 'MY_HOME'}", "{'MY_API_KEY': '***'}"),
        ("AWS_SECRET_ACCESS_KEY=ab/cd rest", "AWS_SECRET_ACCESS_KEY=*** rest"),
        ("AKIAABCDEFGHIJKLMNOP is one", "*** is one"),
        *(
            (f"it is {form}abcdefgh1234.", "it is ***.")
            for form in (
                *("ghp_", "gho_", "ghs_", "github_pat_", "hf_", "sk-", "sk-proj-", "sk_live_"),
                *("rk_test_", "xoxb-", "xapp-", "glpat-"),
            )
        ),
        ("it is AIzaSyA-abcdefghijklmnopqrstuvwxyz_12345", "it is ***"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2lnbmF0dXJl is it", "*** is it"),
        ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/services/***"),
        (
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nb",
            "a\n***\nb",
        ),
        ("-----BEGIN PRIVATE KEY-----\\nMIIE cut", "***"),
        (
            "def f(token: str, secret=None) -> token == 1",
            "def f(token: str, secret=***) -> token == 1",
        ),
        ('{"token": null, "max_tokens": 5}', '{"token": null, "max_tokens": 5}'),
        (
            "the key is wrong; a cookie, a token: no secret",
            "the key is wrong; a cookie, a token: no secret",
        ),
        ("a disk-assessment of a task-12345678", "a disk-assessment of a task-12345678"),
        ("token={token} and password=", "token={token} and password="),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, masked: str) -> None:
    assert Mask()(text) == masked
    assert without_secrets(masked) == masked


def test_known_secrets_are_hidden_wherever_they_stand_and_however_spelt() -> None:
    mask = Mask(["pass/word+1", "pass/word+1-longer", "abc"])
    assert mask("(pass/word+1) pass%2Fword%2B1 pass/word+1-longer abc") == "(***) *** *** abc"
    assert "pass" not in repr(mask)


def test_the_home_folder_is_shortened() -> None:
    assert Mask(home="/home/me")("/home/me/data, /home/me") == "~/data, ~"
    assert Mask(home="/")("/etc") == "/etc"


def test_variables_that_say_so_hold_secrets() -> None:
    held = {"HF_TOKEN": "a", "OPENAI_API_KEY": "b", "WORKBENCH_LLM_KEYS": "c", "PATH": "d"}
    assert secret_values(held) == ["a", "b", "c"]


def test_an_error_shows_no_secret_of_the_value_that_it_names() -> None:
    error = InputError.field("inputDataURL", "ftp://me:canary@host/x?token=canary", "https:")
    assert str(error) == "inputDataURL is 'ftp://***@host/x?token=***'; allowed: https:"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("endpoints[0].token", "word", "endpoints[0].token is ***; allowed: none"),
        ("parameters.api_key[2]", ["word"], "parameters.api_key[2] is ***; allowed: none"),
        ("parameters.token", None, "parameters.token is None; allowed: none"),
        ("max_tokens", 9, "max_tokens is 9; allowed: none"),
    ],
)
def test_what_stood_where_a_secret_does_is_not_shown(field: str, value: object, said: str) -> None:
    assert str(InputError.field(field, value, "none")) == said


def test_every_error_says_what_another_program_said_without_its_secrets() -> None:
    error = StoreError("it failed: {reason}", reason="no file 'https://me:word@h/x?sig=ab'", rows=2)
    assert str(error) == "it failed: no file 'https://***@h/x?sig=***'"
    assert error.values == {"reason": "no file 'https://***@h/x?sig=***'", "rows": 2}


def test_of_data_its_addresses_its_named_secrets_and_what_is_one_by_form_are_masked() -> None:
    data = {
        "spent": "https://h/x?sig=canary",
        "note": "?token=mine",
        "n": [1, "http://a:b@c"],
        "db": {"password": "canary", "user": "me", "port": 5432},
        "apiKeys": ["one", "two", ""],
        "hf_token": None,
        "secret": 1234,
        "max_tokens": 100,
        "header": "Bearer canary-1",
        "use_token": True,
    }
    masked = {
        "spent": "https://h/x?sig=***",
        "note": "?token=mine",
        "n": [1, "http://***@c"],
        "db": {"password": "***", "user": "me", "port": 5432},
        "apiKeys": ["***", "***", ""],
        "hf_token": None,
        "secret": "***",
        "max_tokens": 100,
        "header": "***",
        "use_token": True,
    }
    assert as_kept(data) == masked
    assert as_kept(masked) == masked
    assert sorted(secrets_in(data)) == ["1234", "canary", "one", "two"]


@pytest.mark.parametrize(
    "name", ["auth", "basic_auth", "authorization", "Authorisation", "cookie", "bearer", "jwt"]
)
def test_what_a_login_goes_by_is_masked_by_its_name(name: str) -> None:
    assert as_kept({name: "canary", "author": "me"}) == {name: "***", "author": "me"}
    assert str(InputError.field(f"parameters.{name}", "canary", "none")).startswith(
        f"parameters.{name} is ***"
    )


def test_a_mask_in_the_place_of_a_value_is_found_and_stars_in_a_text_are_none() -> None:
    assert masked_at({"n": 1, "text": "a *** b"}) is None
    assert masked_at({"n": 1, "db": {"password": "***"}}) == "db.password"
    assert masked_at({"n": [{"a": "https://h/?token=***"}]}) == "n.0.a"


@pytest.mark.parametrize(
    "piece",
    [
        "://a",
        "%3a%2f%2fa%20",
        "x-a",
        "cookie",
        "token",
        "password='",
        "eyJ",
        "eyJ-",
        "sk-",
        "bearer a",
        "basic a ",
        "-----BEGIN PRIVATE KEY-----",
        "&x-amz-",
        "\\'",
        'secret\\"',
        "authorization: ",
        "token=",
    ],
)
def test_a_hostile_text_takes_a_time_in_proportion_to_its_length(piece: str) -> None:
    """Tenths of a second; were each place looked at from each other, it would not end in time."""
    without_secrets(piece * (400_000 // len(piece)))
