"""Settings: one table, three sources, sentences for what cannot be used."""

from pathlib import Path

import pytest

from store import settings
from store.errors import SettingsError
from store.settings import Settings, host_and_port


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_serve_on_loopback_and_trust_nobody() -> None:
    given = settings.load()
    assert given.smtp_listen == "127.0.0.1:8025"
    assert given.trusted_networks == []
    assert given.max_mail_bytes == 200 * 1024 * 1024
    assert given.relay.startswith("folder:///")


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scanpost.toml").write_text('domain = "file.example"\nmax_mail_mb = 50\n')
    assert settings.load().domain == "file.example"
    monkeypatch.setenv("SCANPOST_DOMAIN", "Env.Example.")
    assert settings.load().domain == "env.example"
    assert settings.load().max_mail_mb == 50


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "relay"
    secret.write_text("smtp://user:word@relay.example:587\n")
    monkeypatch.setenv("SCANPOST_RELAY_URL_FILE", str(secret))
    assert settings.load().relay_url == "smtp://user:word@relay.example:587"


@pytest.mark.parametrize("networks", ["0.0.0.0/0", "::/0", "10.0.0.0/8, 0.0.0.0/0"])
def test_everybody_is_never_trusted(networks: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_CLIENTS"):
        settings.load(trusted_clients=networks)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_listen", "8025"),
        ("base_url", "scans.example"),
        ("trusted_clients", "lab"),
        ("max_mail_mb", 0),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match="Settings cannot be used"):
        settings.load(**{name: value})


def test_a_missing_or_broken_settings_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANPOST_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match="does not exist"):
        settings.load()
    (tmp_path / "broken.toml").write_text("domain = ")
    monkeypatch.setenv("SCANPOST_CONFIG", str(tmp_path / "broken.toml"))
    with pytest.raises(SettingsError, match="is not TOML"):
        settings.load()


def test_slips_in_names_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPOST_DOMIAN", "x")
    monkeypatch.setenv("SCANPOST_RELAY_URL_FILE", "x")
    assert settings.unknown_names() == ["SCANPOST_DOMIAN"]


def test_listen_addresses_are_read() -> None:
    assert host_and_port("0.0.0.0:25") == ("0.0.0.0", 25)
    assert host_and_port("[::1]:25") == ("::1", 25)
    with pytest.raises(ValueError, match="not host:port"):
        host_and_port("host:99999")


def test_every_setting_has_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())
