"""Settings that are wrong are told where, and what was expected."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from backstay.core.errors import InputError
from backstay.core.settings import SETTINGS, expanded, read_settings


def test_defaults_are_among_their_choices(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("")
    assert read_settings(tmp_path)["predictions.mode"] == "durable"
    assert all(not one.choices or one.default in one.choices for one in SETTINGS)


def test_a_share_may_be_a_whole_number(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("[serving]\ntrace_share = 1")
    assert read_settings(tmp_path)["serving.trace_share"] == 1


def test_every_number_has_bounds_and_its_default_is_within(tmp_path: Path) -> None:
    numbers = [one for one in SETTINGS if type(one.default) in (int, float)]
    for one in numbers:
        assert one.bounds is not None, one.name
        section, _, name = one.name.partition(".")
        for value in (one.default, one.bounds[0]):
            (tmp_path / "backstay.toml").write_text(f"[{section}]\n{name} = {value}")
            assert read_settings(tmp_path)[one.name] == value
        for value in (one.bounds[0] - 1, one.bounds[1] + 1):
            (tmp_path / "backstay.toml").write_text(f"[{section}]\n{name} = {value}")
            with pytest.raises(InputError, match=rf"{one.name} is -?\d+ "):
                read_settings(tmp_path)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[predictions]\nmode = "safe"', "predictions.mode is 'safe' .*expected one of durable, sync, lossy"),
        ("[predictions]\nmode = 1", "predictions.mode is 1 .*expected a text"),
        ("[serving]\ntrace_share = 'all'", "serving.trace_share is 'all' .*expected a number"),
        ("[serving]\ntrace_share = 1.5", "serving.trace_share is 1.5 .*expected 0 to 1"),
        ("[serving]\ntrace_share = nan", "serving.trace_share is nan .*expected 0 to 1"),
        ("[serving]\ntrace_share = true", "serving.trace_share is True .*expected a number"),
        ("[serving]\nport = 70000", "serving.port is 70000 .*expected 0 to 65535"),
        ("[serving]\nadmin_port = -1", "serving.admin_port is -1 .*expected 0 to 65535"),
        ("[serving]\nworkers = 0", "serving.workers is 0 .*expected 1 to 256"),
        ("[serving]\nbody_limit = 2147483648", "serving.body_limit is 2147483648 .*expected 1 to 2147483647"),
        ("[serving]\nobjective_ms = 0", "serving.objective_ms is 0 .*expected 1 or more"),
        ("[predictions]\nmod = 1", "there is no setting 'predictions.mod'"),
    ],
)
def test_what_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "backstay.toml").write_text(toml)
    with pytest.raises(InputError, match=said):
        read_settings(tmp_path)


PASSWORDS = ("p@top/secret", "p@topsecret", "p#top", "p?top=1", "p/top@x", "100%", "a:b")


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_of_any_characters_stays_in_its_part_of_the_url(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", password)
    monkeypatch.setenv("WHERE", "db:6379")
    found = urlsplit(expanded("redis://svc:${PW}@${WHERE}/0?password=${PW}", "online.url") or "")
    assert (unquote(found.password or ""), found.hostname, found.port, found.path) == (password, "db", 6379, "/0")
    assert parse_qs(found.query) == {"password": [password]}


def test_a_text_that_is_no_url_and_a_variable_that_is_one_are_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", "redis://svc:p%40ss@db/0")
    assert expanded("${URL}", "online.url") == "redis://svc:p%40ss@db/0"
    assert expanded("to ${URL}", "notify.mine") == "to redis://svc:p%40ss@db/0"
    assert expanded("https://hooks.example/${URL}", "notify.slack") == "https://hooks.example/redis://svc:p%40ss@db/0"
