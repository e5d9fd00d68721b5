"""Settings: their order, their sentences, and that no secret shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from workbench.errors import SettingsError
from workbench.settings import Settings, default_data, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.upper().startswith("WORKBENCH_"):
            monkeypatch.delenv(name)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def test_a_clone_keeps_its_data_to_itself_and_a_package_uses_the_users_folder(
    tmp_path: Path,
) -> None:
    assert default_data() == Path(__file__).parent.parent / "data"
    assert default_data(tmp_path).name == "runes-workbench"
    assert not default_data(tmp_path).is_relative_to(tmp_path)


def test_without_anything_said_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.data == default_data()
    assert (settings.ws_port, settings.mesh_port) == (3001, 8081)
    assert settings.host == ""
    assert settings.origins == ()
    assert settings.input_limit_mb == 100
    assert settings.rune_limit == 5000
    assert settings.token is None


def test_a_variable_wins_over_the_file_and_an_override_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "workbench.toml").write_text("ws_port = 1\nmesh_port = 2\nslots = 3\n")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_MESH_PORT", "20")
    monkeypatch.setenv("WORKBENCH_SLOTS", "30")
    settings = load_settings(slots=300)
    assert (settings.ws_port, settings.mesh_port, settings.slots) == (1, 20, 300)


def test_the_file_of_the_working_folder_wins_over_that_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text('host = "::1"\nws_port = 1\n')
    Path("workbench.toml").write_text(f'data = "{tmp_path}"\nws_port = 2\n')
    settings = load_settings()
    assert (settings.data, settings.host, settings.ws_port) == (tmp_path, "::1", 2)


def test_an_override_that_is_none_counts_as_not_given() -> None:
    assert load_settings(ws_port=None).ws_port == 3001


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("WORKBENCH_ORIGIN", "WORKBENCH_ORIGINS"),
        ("WORKBENCH_WSPORT", "WORKBENCH_WS_PORT"),
        ("workbench_data", "WORKBENCH_DATA"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: str
) -> None:
    monkeypatch.setenv(given, "x")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert str(refusal.value) == f"there is no variable {given}; did you mean {meant}?"


def test_a_variable_like_no_other_is_refused_with_all_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKBENCH_ZZZZQQQQ", "x")
    with pytest.raises(SettingsError, match=r"there is no variable WORKBENCH_ZZZZQQQQ; there are"):
        load_settings()


def test_a_misspelt_name_in_the_file_is_refused() -> None:
    Path("workbench.toml").write_text("mesh_prt = 1\n")
    with pytest.raises(SettingsError, match=r"mesh_prt; did you mean mesh_port\?$"):
        load_settings()


def test_a_broken_file_is_refused_with_its_name() -> None:
    Path("workbench.toml").write_text("ws_port = \n")
    with pytest.raises(SettingsError, match=r"workbench\.toml cannot be read: .*; mend the file"):
        load_settings()


def test_variables_of_the_tests_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SHARED", "anything")
    assert load_settings().ws_port == 3001


def test_a_port_out_of_range_is_refused_with_variable_value_and_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKBENCH_WS_PORT", "70000")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert str(refusal.value) == (
        "WORKBENCH_WS_PORT is '70000'; allowed: less than or equal to 65535"
    )


def test_true_is_no_number_of_days() -> None:
    Path("workbench.toml").write_text("keep_results_d = true\nprivate_addresses = true\n")
    with pytest.raises(
        SettingsError, match="KEEP_RESULTS_D is True; allowed: a value, not true or false"
    ):
        load_settings()


def test_origins_come_as_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ORIGINS", "https://a.example/, http://localhost:5173")
    assert load_settings().origins == ("https://a.example", "http://localhost:5173")


def test_a_token_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "canary-4711")
    assert "canary" not in repr(load_settings()) + str(load_settings())
    with pytest.raises(SettingsError) as refusal:
        load_settings(token="canary")
    assert "canary" not in str(refusal.value)
    assert str(refusal.value) == (
        "WORKBENCH_TOKEN is (not shown); allowed: text of 8 characters or more"
    )


def test_an_address_shows_none_of_its_secrets() -> None:
    settings = load_settings(
        llm_servers="box=http://someone:canary-1@box:1/?api_key=canary-2",
        dask_address="tls://someone:canary-3@box:2",
    )
    assert "canary" not in repr(settings) + str(settings)
    assert "canary-3" in str(settings.dask_address)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().ws_port = 1  # type: ignore[misc]


def test_a_relative_data_folder_is_taken_from_the_working_folder() -> None:
    assert load_settings(data="here").data == Path.cwd() / "here"


def test_every_setting_has_a_sentence_about_it() -> None:
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Settings)).body[0].body  # type: ignore[attr-defined]
    fields = [i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    assert all(isinstance(body[i + 1], ast.Expr) for i in fields)


def test_an_address_is_no_data_folder_and_its_token_is_not_shown() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(data="ws://me:canary@hub.example/ws?token=canary")
    assert str(refused.value) == (
        "the data folder is 'ws://***@hub.example/ws?token=***', which is an address; allowed: a "
        "folder of this machine. To a hub elsewhere go workbench.MeshClient and workbench.HubClient"
    )
