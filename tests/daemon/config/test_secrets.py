"""A secret does not print itself, and is found in whatever dress it wears."""

from __future__ import annotations

import copy
import json
import pickle
from urllib.parse import quote

import pytest

from daemon.config.secrets import MASK, Secret, Secrets

CANARY = "sk_live/9+zQ=canary"


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(CANARY)
    assert {str(secret), repr(secret), f"{secret}", f"{secret:>40}"} == {MASK}
    assert repr([secret]) == "[***]" and secret.reveal() == CANARY
    assert secret == Secret(CANARY) and secret != Secret("other") and secret != CANARY
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(secret)


@pytest.mark.parametrize("dress", [str, str.upper, lambda s: quote(s, safe=""), lambda s: f"a{s}b{s}"])
def test_a_known_secret_is_scrubbed_in_any_spelling(dress: object) -> None:
    assert callable(dress)
    scrubbed = Secrets([CANARY]).scrub(f"GET /x?key={dress(CANARY)}&y=1")
    assert MASK in scrubbed and "canary" not in scrubbed.lower() and scrubbed.endswith("&y=1")


def test_a_key_of_many_lines_is_scrubbed_line_by_line_and_escaped() -> None:
    key = "-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49canary1\nAgEGCCqGSM49AwEHcanary2\n-----END KEY-----\n"
    secrets = Secrets([key])
    for text in (key, repr(key), json.dumps({"key": key}), "only MIGHAgEAMBMGByqGSM49canary1 of it"):
        assert "canary" not in secrets.scrub(text)


def test_a_hex_key_is_scrubbed_without_its_prefix() -> None:
    assert Secrets(["0xdeadbeefcafe0123"]).scrub("key deadbeefcafe0123.") == "key ***."


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Secrets(["abcd", "abcdefgh"]).scrub("abcdefgh abcd") == "*** ***"


def test_nothing_registered_changes_nothing_and_an_empty_secret_is_none() -> None:
    assert Secrets(["", "  "]).scrub("plain") == "plain"


def test_every_string_of_a_tree_is_scrubbed_keys_and_odd_objects_included() -> None:
    class Odd:
        def __repr__(self) -> str:
            return f"Odd({CANARY})"

    tree = {"a": [CANARY, 1, None, 2.5], CANARY: (b"x" + CANARY.encode(), Odd(), ValueError(CANARY)), "n": True}
    scrubbed = Secrets([CANARY]).scrub_tree(tree)
    assert scrubbed == {"a": [MASK, 1, None, 2.5], MASK: ["x***", "Odd(***)", MASK], "n": True}


def test_a_tree_that_contains_itself_ends() -> None:
    tree: dict[str, object] = {}
    tree["again"] = tree
    assert "…" in str(Secrets().scrub_tree(tree))


def test_what_no_encoder_takes_becomes_printable() -> None:
    assert Secrets().scrub_tree("a\udc80b") == "a\\udc80b"
