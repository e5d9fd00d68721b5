"""The page's server: what it is told, and the sentences when it cannot start."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from workbench import page
from workbench.errors import SettingsError


def configured(kind: page.Kind, **given: Any) -> Any:
    usual = {"folder": Path("/n"), "port": 1, "exact_port": True, "token": "t", "browser": False}
    return page.configuration(kind, **{**usual, **given})


def test_the_page_asks_for_a_token_and_culls_what_a_dead_tab_left() -> None:
    config = configured("app", token="secret")
    assert config.IdentityProvider.token == "secret"
    assert config.ServerApp.ip == "localhost"
    kernels = config.MappingKernelManager
    assert (kernels.cull_idle_timeout, kernels.cull_connected) == (120, False)
    assert {"comm_open", "comm_msg", "status"} <= set(kernels.untracked_message_types)
    assert kernels.buffer_offline_messages is False


def test_jupyterlab_keeps_its_kernels_and_asks_nobody_for_news() -> None:
    config = configured("lab")
    assert "cull_idle_timeout" not in config.MappingKernelManager
    assert config.LabApp.news_url is None
    assert config.LabApp.check_for_updates_class == "jupyterlab.NeverCheckForUpdate"


@pytest.mark.parametrize("kind", ["app", "lab"])
def test_the_page_gets_plotly_from_its_own_server(kind: page.Kind) -> None:
    config = configured(kind)
    told = config.VoilaConfiguration if kind == "app" else config.LabApp
    (folder,) = told.extra_labextensions_path
    assert (Path(folder) / "plotly.min.js").is_file()


def test_jupyterlab_does_not_prompt_for_news() -> None:
    (said,) = page.TEMPLATES.glob("labconfig/default_setting_overrides.json")
    overrides = json.loads(said.read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_jupyterlab_does_not_ask_node_whether_to_build_itself_anew() -> None:
    said = json.loads((page.TEMPLATES / "labconfig/page_config.json").read_text())
    assert not said["buildCheck"] and not said["buildAvailable"]


def test_the_policy_names_no_foreign_host() -> None:
    words = page.CONTENT_SECURITY_POLICY.replace(";", " ").split()
    hosts = [word for word in words if "//" in word or word == "*"]
    assert hosts == ["ws://localhost:*", "ws://127.0.0.1:*"]


def test_the_hook_touches_the_cookie_that_the_page_needs() -> None:
    touched = []

    class Request:
        @property
        def xsrf_token(self) -> bytes:
            touched.append(True)
            return b""

    assert page.xsrf_hook(req=Request(), notebook=None, cwd="") is None
    assert touched == [True]


@pytest.mark.parametrize(
    ("notebook", "drawn"), [("workbench.ipynb", []), ("mint-fairness.ipynb", [page.PLOTLY])]
)
def test_only_pages_that_draw_with_plotlys_extension_load_it(
    notebook: str, drawn: list[str]
) -> None:
    found = {"baseUrl": "/", "federated_extensions": [{"name": page.PLOTLY}, {"name": "anywidget"}]}
    told = page.page_config_hook(found, base_url="/", notebook_path=f"some/folder/{notebook}")
    assert [one["name"] for one in told["federated_extensions"]] == [*drawn, "anywidget"]


def test_a_taken_port_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError) as refusal:
            page._refuse_taken(port)
    assert str(refusal.value) == (
        f"port {port} is taken by another program: stop it or choose another with --port"
    )


def test_the_template_loads_nothing_from_elsewhere() -> None:
    for path in page.TEMPLATES.rglob("*"):
        if path.is_file():
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "//cdn" not in text
            assert "https://" not in text
            assert "http://" not in text


def test_a_page_that_is_open_already_is_found_and_a_dead_one_is_not(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:
        url = page.address(server.getsockname()[1], "/voila", "token")
        assert page.open_page("app", tmp_path) is None
        with page.noted("app", tmp_path, url):
            assert page.open_page("app", tmp_path) == url
            assert page.open_page("lab", tmp_path) is None
            assert (tmp_path / "app.json").stat().st_mode & 0o077 == 0
            server.close()
            assert page.open_page("app", tmp_path) is None
    assert page.open_page("app", tmp_path) is None


def test_a_note_that_is_no_page_counts_as_none(tmp_path: Path) -> None:
    for text in ("", "[]", '{"pid": 1}', '{"pid": "x", "url": "http://localhost:1/"}'):
        (tmp_path / "app.json").write_text(text)
        assert page.open_page("app", tmp_path) is None
