"""Which backend a home's services open, and what identifies a home."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.servers import Valkey

from backstay.core.errors import InputError, IntegrityError
from backstay.core.settings import read_settings
from backstay.project.services import Services


def test_the_online_state_is_in_the_home_unless_a_url_is_given(tmp_path: Path) -> None:
    services = Services(tmp_path)
    services.online.write({b"a": b"1"})
    services.close()
    assert (tmp_path / "online" / "data.mdb").exists()
    assert not (tmp_path / "id").exists()


def test_each_home_has_a_state_of_its_own_on_a_shared_server(tmp_path: Path) -> None:
    with Valkey() as server:
        homes = [Services(tmp_path / home, name="Flüge & co", online_url=server.url) for home in ("x", "y")]
        for services, value in zip(homes, (b"x", b"y"), strict=True):
            services.online.write({b"a": value})
        again = Services(tmp_path / "x", name="Flüge & co", online_url=server.url)
        homes[1].online.clear()
        assert again.online.read([b"a"]) == [b"x"]
        for services in (*homes, again):
            services.close()
        assert not (tmp_path / "x" / "online").exists()


def test_a_copy_of_a_home_shares_its_state_until_its_id_is_removed(tmp_path: Path) -> None:
    """As docs/ledger.md says it does."""
    with Valkey() as server:
        home, copy = (Services(tmp_path / name, name="shop", online_url=server.url) for name in ("x", "y"))
        home.online.write({b"a": b"x"})
        shutil.copytree(tmp_path / "x", tmp_path / "y")
        assert copy.online.read([b"a"]) == [b"x"]
        copy.close()
        (tmp_path / "y" / "id").unlink()
        copy = Services(tmp_path / "y", name="shop", online_url=server.url)
        copy.online.write({b"a": b"y"})
        assert home.online.read([b"a"]) == [b"x"]
        for services in (home, copy):
            services.close()


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="redis://"):
        _ = Services(tmp_path, online_url="memcached://localhost").online


def test_the_token_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    token = Services(tmp_path).token
    assert len(token) > 40
    assert Services(tmp_path).token == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    (tmp_path / "token").write_text("short")
    with pytest.raises(IntegrityError, match="too short"):
        _ = Services(tmp_path).token


def test_the_setting(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("")
    assert read_settings(tmp_path)["online.url"] is None
    (tmp_path / "backstay.toml").write_text('[online]\nurl = "redis://localhost"\n')
    assert read_settings(tmp_path)["online.url"] == "redis://localhost"
