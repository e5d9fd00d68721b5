"""The Jupyter Server behind `workbench app` (a Voilà page) and `workbench lab` (JupyterLab).

Voilà runs as an extension of Jupyter Server, which brings the token, the check of Host and
the culling of kernels that Voilà alone lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psutil

from workbench.errors import SettingsError
from workbench.ports import LOOPBACK, PortTaken, bind
from workbench.widgets.plotly import plotly_folder

Kind = Literal["app", "lab"]

PORTS: dict[Kind, int] = {"app": 8866, "lab": 8888}
NOTEBOOK = "workbench.ipynb"
TEMPLATES = Path(__file__).parent / "page_template"
CULL_IDLE_S = 120
CULL_LOOK_S = 20

EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
)
"""Of all installed JupyterLab extensions, those that widgets need: others only cost time."""
PLOTLY = "jupyterlab-plotly"
"""Draws the figures of answers, for 4.8 MB on each page: the plot panels of the app's own notebook
fetch plotly.min.js themselves, and when they need it."""

# Nothing is fetched from elsewhere, whatever a notebook's output asks for.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:",
        "connect-src 'self' data: blob: ws://localhost:* ws://127.0.0.1:*",
        "frame-ancestors 'self'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)


def notebooks_folder() -> Path:
    """Where the notebooks are: in the clone, or shipped with the installed package."""
    package = Path(__file__).parent
    places = [package.parent / "notebooks", package / "notebooks", Path.cwd() / "notebooks"]
    for place in places:
        if (place / NOTEBOOK).is_file():
            return place
    raise SettingsError(
        "the notebook {name} is in none of {places}: start from a clone of the project, or "
        "install the package again",
        name=NOTEBOOK,
        places=", ".join(map(str, places)),
    )


def xsrf_hook(req: Any, notebook: Any, cwd: Any) -> None:
    """Voilà's page needs the `_xsrf` cookie to shut its kernel down when its tab is closed.

    Voilà calls this with keywords before each kernel; without it every closed tab leaves
    a kernel behind.
    """
    _ = req.xsrf_token


def page_config_hook(
    page_config: dict[str, Any], notebook_path: str = "", **_: Any
) -> dict[str, Any]:
    """Voilà would load MathJax from a CDN; the page's own stand-in leaves formulas as typed.
    The app's notebook does without Plotly's extension."""
    url = page_config["baseUrl"] + "voila/templates/workbench/static/no-mathjax.js"
    extensions = [
        one
        for one in page_config.get("federated_extensions", ())
        if one["name"] != PLOTLY or Path(notebook_path).name != NOTEBOOK
    ]
    return {**page_config, "fullMathjaxUrl": url, "federated_extensions": extensions}


def configuration(
    kind: Kind, *, folder: Path, port: int, exact_port: bool, token: str, browser: bool
) -> Any:
    """Everything that Jupyter Server, Voilà and JupyterLab are told, as one traitlets Config."""
    from traitlets.config import Config

    config = Config()
    server = config.ServerApp
    server.ip = "localhost"
    server.port = port
    server.port_retries = 0 if exact_port else 50
    server.root_dir = str(folder)
    server.open_browser = browser
    server.allow_root = True
    server.answer_yes = True  # one Ctrl-C is enough
    server.log_level = "ERROR"
    config.IdentityProvider.token = token
    config.MappingKernelManager.buffer_offline_messages = False
    if sockets_fit():
        config.KernelManager.transport = "ipc"  # no port that others on this machine can reach
    if kind == "app":
        server.jpserver_extensions = {"voila.server_extension": True}
        server.default_url = f"/voila/render/{NOTEBOOK}"
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        server.tornado_settings = {"headers": headers}
        server.terminals_enabled = False
        _configure_voila(config)
        _configure_culling(config)
    else:
        server.jpserver_extensions = {"jupyterlab": True}
        server.default_url = "/lab"
        config.LabApp.extra_labextensions_path = [str(plotly_folder())]
        config.LabApp.news_url = None
        config.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
        config.LabApp.extension_manager = "readonly"
    return config


def _configure_voila(config: Any) -> None:
    voila = config.VoilaConfiguration
    voila.template = "workbench"
    voila.allow_template_override = "NO"
    voila.allow_theme_override = "NO"  # the template's script chooses, see index.html.j2
    voila.prelaunch_hook = xsrf_hook
    voila.page_config_hook = page_config_hook
    voila.show_tracebacks = True
    voila.extension_allowlist = [*EXTENSIONS, PLOTLY]
    voila.extra_labextensions_path = [str(plotly_folder())]
    voila.file_allowlist = [r".*\.(png|jpg|gif|svg)"]


def _configure_culling(config: Any) -> None:
    """A page that died without a word leaves no kernel; one that streams is no less idle."""
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    kernels = config.MappingKernelManager
    kernels.cull_idle_timeout = CULL_IDLE_S
    kernels.cull_interval = CULL_LOOK_S
    kernels.cull_connected = False
    usual: Any = MappingKernelManager.class_traits()["untracked_message_types"].default()
    kernels.untracked_message_types = [*usual, "comm_open", "comm_msg"]


def sockets_fit() -> bool:
    """Whether the paths of a kernel's sockets stay below the 107 bytes that Linux allows."""
    from jupyter_core.paths import jupyter_runtime_dir

    longest = Path(jupyter_runtime_dir()) / f"kernel-{uuid.UUID(int=0)}-ipc-5"
    return sys.platform.startswith("linux") and len(os.fsencode(longest)) <= 107


def prepare_environment(kind: Kind, data: Path) -> None:
    """What the server and its kernels find in their environment."""
    os.environ["WORKBENCH_DATA"] = str(data)
    paths = [str(TEMPLATES), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # our kernel, not a namesake of the user's
    if kind == "app":
        os.environ["JUPYTER_NO_CONFIG"] = "1"  # the page is the same whatever Jupyter is set to
    else:  # a default of JupyterLab's own, which the user's settings still overrule: no news prompt
        ours = [str(TEMPLATES), os.environ.get("JUPYTER_CONFIG_PATH", "")]
        os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, ours))


def run(
    kind: Kind,
    *,
    data: Path,
    port: int | None = None,
    browser: bool = True,
    folder: Path | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve until stopped. `ready` gets the address with its token once the port is open.

    `folder` holds the notebooks; by default those of the project.
    """
    folder = folder or notebooks_folder()
    prepare_environment(kind, data)
    # jsonschema would load a grammar of addresses for 2 s; no schema of Jupyter asks for it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from jupyter_server.serverapp import ServerApp

    token = os.environ.pop("JUPYTER_TOKEN", "") or secrets.token_urlsafe(24)
    if port:
        _refuse_taken(port)
    config = configuration(
        kind,
        folder=folder,
        port=port or PORTS[kind],
        exact_port=bool(port),
        token=token,
        browser=browser,
    )
    app = ServerApp.instance(config=config)
    app.initialize(argv=[])
    url = address(app.port, app.default_url, token)
    with noted(kind, data, url), contextlib.suppress(asyncio.CancelledError):
        ready(url)
        app.start()  # a CancelledError is how its loop says that it was stopped


@contextlib.contextmanager
def noted(kind: Kind, data: Path, url: str) -> Iterator[None]:
    """Note in the data folder, for its owner's eyes, that this process serves a page there."""
    note = _note(kind, data)
    data.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"pid": os.getpid(), "url": url}, file)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def open_page(kind: Kind, data: Path) -> str | None:
    """The address of a page that is served on this data already, if it lives and answers."""
    try:
        said = json.loads(_note(kind, data).read_text())
        url = str(said["url"])
        psutil.Process(int(said["pid"]))
        socket.create_connection(("localhost", urlsplit(url).port or 0), timeout=2).close()
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return url


def _note(kind: Kind, data: Path) -> Path:
    return data / f"{kind}.json"


def _refuse_taken(port: int) -> None:
    """Jupyter Server exits with a traceback; ours is a sentence."""
    try:
        for each in bind(LOOPBACK, port):
            each.close()
    except PortTaken:
        raise PortTaken(
            "port {port} is taken by another program: stop it or choose another with --port",
            port=port,
        ) from None


def address(port: int, path: str, token: str) -> str:
    """The page's address, with the token that opens it."""
    return f"http://localhost:{port}{path}?token={token}"
