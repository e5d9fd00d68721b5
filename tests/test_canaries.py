"""Secrets are nowhere: canary tokens go into every input, and then everything is searched.

A hub of its own runs at log level debug and is driven through what works and what fails. Only
where a secret belongs may it be found: in `hub.json`, in the settings file that its owner wrote,
and at the server that it was meant for.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import connect as dial

import workbench
from tests.http_server import Asked, Server, serving
from tests.hub_process import HubProcess
from tests.llm.fake_openai import CHAT, MODEL, FakeOpenAI
from tests.llm.fake_server import faking, reply
from workbench import cli
from workbench.clients.hub import HubClient
from workbench.clients.mesh import MeshClient
from workbench.core.model import Context
from workbench.errors import WorkbenchError
from workbench.runtime import runtime
from workbench.session import Workbench
from workbench.settings import load_settings

pytestmark = pytest.mark.timeout(240)

Texts = dict[str, str]
"""Everything that is searched, by where it stood."""

CANARIES = {
    what: f"canary-{number}-{what}"
    for number, what in enumerate(
        (
            *("admin-token", "submit-token", "view-token", "model-server-key", "hugging-face"),
            *("url-user", "url-password", "url-query", "parameter-query", "model-url"),
            *("wrong-bearer", "wrong-query", "wrong-client", "remote-client", "message-field"),
            *("settings-file", "password", "nested-key", "signed-url", "sql-url", "connect-url"),
            *("printed-key", "printed-cookie", "printed-url", "printed-by-form", "private-key"),
        ),
        start=10,
    )
}
CANARIES["short"] = "cnry-77"
"""Too short for a token, so it is refused."""
FORMS = ("ghp_", "github_pat_", "hf_", "sk-", "xoxb-", "glpat-", "eyJhbGciOi.eyJzdWIiOi.")
SIGNED = ("private_token", "client_secret", "sig", "X-Amz-Signature")
ALLOWED = {"hub.json", "token", "workbench.toml"}
"""Files of the data folder in which a secret belongs."""

CELLS = """
%xmode Verbose
import workbench
bench = workbench.connect(start=False)
bench
---
bench.query("SELEC 1")
---
bench.submit("nowhere", {"a": 1})
---
bench.submit("steady", URL.replace("/good", "/broken")).result(timeout_s=30)
---
bench.submit("steady", URL.replace("http:", "htp:"))
---
bench.chat.ask("hello", model=f"{MODEL}@cloud")
---
bench.client._locate = lambda: (_ for _ in ()).throw(ValueError("the address cannot be had"))
bench.block_on(bench.client.disconnect())
bench.block_on(bench.client.connect(wait_s=2))
---
from workbench.clients.hub import HubClient
other = HubClient(bench.hub.ws.replace("/ws", "/nothing"), bench.hub.token, keep_trying=False)
bench.block_on(other.connect(wait_s=2))
---
import asyncio
asyncio.run(asyncio.sleep(0))
---
bench.hub, bench.mesh.tasks(), bench.tasks(), bench.models(), vars(bench.hub)
"""


def batches(asked: Asked) -> None:
    """A server that wants its secret, and says it again where it fails."""
    if asked.path.startswith("/broken"):
        asked.reply(f"no: {asked.path} {asked.headers}".encode(), 403)
    elif asked.path.startswith("/moved"):
        asked.reply(b"", 302, Location=f"ftp://elsewhere/?token={CANARIES['url-query']}")
    else:
        asked.reply(b'{"batch": 1}')


def talkative(asked: Asked, value: Any) -> None:
    """What a server of models says of a wrong key: the key."""
    given = asked.headers["Authorization"].removeprefix("Bearer ")
    reply(asked, {"error": {"message": f"Incorrect API key provided: {given}"}}, 400)


def printed() -> list[str]:
    """What a function prints: secrets that nothing but their form, or a name beside them, tells."""
    key, cookie, url = (CANARIES[f"printed-{what}"] for what in ("key", "cookie", "url"))
    body = CANARIES["private-key"]
    return [
        f"X-Api-Key: {key}",
        json.dumps({"api_key": key, "n": 1}),
        f"{{'Cookie': 'a={cookie}', 'Set-Cookie': 'b={cookie}'}}",
        f"MY_CLIENT_SECRET={key}",
        f"no answer of https://me:{url}@h/x?X-Amz-Signature={url}&client_secret={url}&sig={url}",
        *(form + CANARIES["printed-by-form"] for form in FORMS),
        *("-----BEGIN RSA PRIVATE KEY-----", body, body, "-----END RSA PRIVATE KEY-----"),
        "so much was printed",
    ]


@workbench.model(name="leaky", version="1", title="Says all that it knows", pure=False)
def leaky(
    context: Context,
    *,
    password: str,
    db: dict[str, str],
    encoded: list[str],
) -> None:
    """`encoded` is what it prints, in base64: so that nobody knows what it is before."""
    import base64
    import os

    lines = [base64.b64decode(each).decode() for each in encoded]
    print("in with", password, db)
    for line in lines:
        print(line)
        os.write(2, f"{line}\n".encode())
    context.log("{line} {token}", line=lines[0], token=password)
    context.progress(1, 2, f"with {password}")
    raise ValueError(f"no access with {password}, {db['api_key']}: {lines[0]}")


class Drive:
    """Everything that is done to a hub, and all that is seen of it."""

    def __init__(self, data: Path, files: Server) -> None:
        self.data, self.seen = data, {}
        self.found = json.loads((data / "hub.json").read_text())
        user = f"{CANARIES['url-user']}:{CANARIES['url-password']}"
        query = f"token={CANARIES['url-query']}"
        self.url = files.url.replace("://", f"://{user}@") + "/good.json?" + query
        self.files = files
        self.seen: Texts = {}

    def note(self, where: str, text: Any) -> None:
        self.seen[f"{len(self.seen)} {where}"] = text if isinstance(text, str) else repr(text)

    def tried(self, where: str, work: Callable[[], Any]) -> Any:
        """Do it, and note what came of it, with the whole traceback where it fails."""
        try:
            result = work()
        except Exception as error:
            self.note(where, "".join(_every_word(error)))
            return None
        self.note(where, result)
        for draw in ("_repr_html_", "_repr_mimebundle_"):
            if hasattr(type(result), draw):
                self.note(f"{where}.{draw}", str(getattr(result, draw)()))
        return result

    # What is done

    def kernel(self) -> None:
        bench = workbench.connect(self.data, start=False)
        try:
            self.session(bench)
            self.clients(bench)
        finally:
            bench.close()

    def session(self, bench: Workbench) -> None:
        def run(url: str, **more: Any) -> Any:
            run = bench.submit("steady", url, units=1, **more)
            self.tried(f"result of {url[-12:]}", lambda: run.result(timeout_s=60))
            self.note("logs", run.logs())
            return run

        self.tried("a run", lambda: run(self.url))
        for bad in ("/broken", "/moved"):
            address = self.url.replace("/good.json", bad)
            self.tried(f"a run of {bad}", lambda address=address: run(address))
        self.tried("a misspelt scheme", lambda: run(self.url.replace("http:", "htp:")))
        self.tried("a long address", lambda: run(self.url + "x" * 5000))
        spent = f"http://127.0.0.1:9/spent?key={CANARIES['parameter-query']}"
        signed = self.url.split("?")[0] + "".join(
            f"{sign}{name}={CANARIES['signed-url']}"
            for sign, name in zip("?&&&", SIGNED, strict=True)
        )
        self.tried("a signed address", lambda: run(signed))
        self.tried("a broken one", lambda: run(signed.replace("/good", "/broken")))
        self.own(bench)
        for sql in ("SELECT * FROM '{}'", "SELECT * FROM read_parquet('{}')", "SELEC '{}'"):
            address = f"https://me:{CANARIES['sql-url']}@h/x.parquet?sig={CANARIES['sql-url']}"
            self.tried("SQL", lambda sql=sql, to=address: bench.query(sql.format(to)))
        address = f"ws://me:{CANARIES['connect-url']}@h/ws?token={CANARIES['connect-url']}"
        self.tried("connect to an address", lambda: workbench.connect(address))
        asked = {"height": 1, "source": spent}
        self.tried("a parameter", lambda: run(self.url, spent=spent))
        self.tried("an import", lambda: bench.submit("block-import", **asked).result(60))
        inline = {"hub": [bench.hub.token]}
        self.tried("a token as a parameter", lambda: run(self.url, note=bench.hub.token))
        self.tried("a token as input", lambda: bench.submit("steady", inline).result(60))
        self.tried("a task", lambda: bench.run("no-such-task"))
        self.tried("bad SQL", lambda: bench.query("SELEC 1"))
        self.tried("chat", lambda: bench.chat.ask("hello", model=f"{MODEL}@cloud"))
        self.tried("history", lambda: bench.chat.history().result())
        self.tried("models", lambda: bench.llm.models(refresh=True).result())
        model = (
            f"http://me:{CANARIES['model-url']}@127.0.0.1:9/m.gguf?token={CANARIES['model-url']}"
        )
        self.tried("find", lambda: bench.library.find(model).result())
        self.tried("find a gated one", lambda: bench.library.find("org/gated").result())
        self.tried("download", lambda: bench.library.download(model).wait())
        self.tried("downloads", lambda: bench.library.downloads().result())
        for name in ("hub", "client", "mesh", "metering", "chat", "llm", "library", "runtime"):
            self.tried(name, lambda name=name: getattr(bench, name))
        for name in ("models", "tasks", "gpus", "alerts", "ledger", "metrics"):
            self.tried(name, lambda name=name: getattr(bench, name)())
        self.tried("bench", lambda: bench)
        self.note("history of the client", bench.mesh.get_task_history())

    def own(self, bench: Workbench) -> None:
        """A function that is given secrets, and says them in every way that it has."""
        encoded = [base64.b64encode(each.encode()).decode() for each in printed()]
        db = {"user": "me", "api_key": CANARIES["nested-key"]}
        run = bench.submit(leaky, password=CANARIES["password"], db=db, encoded=encoded)
        self.tried("an own function", lambda: run.result(timeout_s=60))
        self.tried("its run", lambda: run)
        lines = str(run.logs())
        self.note("its logs", lines)
        assert lines.count("so much was printed") == 2, lines
        self.tried("its record", lambda: bench.tasks())
        again = {"password": "***", "db": {"user": "me", "api_key": "***"}, "encoded": []}
        self.tried("run again", lambda: bench.submit(leaky, **again).result(60))
        assert "is the mask of a secret" in list(self.seen.values())[-1]

    def clients(self, bench: Workbench) -> None:
        hub = bench.hub

        async def fails(client: HubClient | MeshClient) -> None:
            try:
                await client.connect(wait_s=5)
            finally:
                self.note("a client", client)
                await client.disconnect()

        wrong = HubClient(hub.ws, CANARIES["wrong-client"], keep_trying=False)
        self.tried("a wrong token", lambda: runtime().run(fails(wrong)))
        mesh = MeshClient(local_endpoint=hub.mesh, tokens={"local": CANARIES["wrong-client"]})
        mesh.set_token("remote", CANARIES["remote-client"])
        self.tried("a wrong mesh token", lambda: runtime().run(fails(mesh)))
        self.note("its configuration", mesh.config)
        self.tried("a bad endpoint", lambda: mesh.configure(remote_endpoint=self.url))

    def sockets(self) -> None:
        for path in ("ws", "mesh"):
            with dial(f"{self.found[path]}?token={self.found['token']}", proxy=None) as peer:
                secret = CANARIES["message-field"]
                task = {"type": "task", "taskId": "held", "model": "steady"}
                other = CANARIES["submit-token"]
                messages = (
                    {**task, "inputData": {"batch": 1}, "parameters": {"units": other}},
                    {**task, "inputData": {"batch": f"Bearer {other}"}},
                    {"type": "task", "taskId": "x", "model": "steady", "token": secret},
                    {"type": "attach", "taskId": 7, "authorization": f"Bearer {secret}"},
                    {"type": f"nothing?token={secret}"},
                    {"type": "query", "data": {"sql": "SELECT", "token": secret}},
                    {"type": "chat:send", "data": {"message": 7, "token": secret}},
                )
                for message in messages:
                    peer.send(json.dumps(message))
                    self.note(f"{path} says", peer.recv(30))
                peer.send('{"type": "task", "token": "' + secret)
                self.note(f"{path} says", peer.recv(30))

    def pages(self) -> None:
        bearer = {"Authorization": f"Bearer {CANARIES['wrong-bearer']}"}
        for path in ("ws", "mesh"):
            base = self.found[path].replace("ws:", "http:").rsplit("/", 1)[0]
            for page in ("/health", "/metrics", f"/{path}", f"/x?token={CANARIES['wrong-query']}"):
                self.note(page, _page(base + page, bearer))
                query = f"{base}{page.split('?')[0]}?token={CANARIES['wrong-query']}"
                self.note(page, _page(query, {}))
            right = {"Authorization": f"Bearer {self.found['token']}"}
            self.note("metrics", _page(base + "/metrics", right))
            posted = urllib.request.Request(base + "/metrics", headers=right, method="POST")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(posted)
            with refused.value as error:
                assert (error.code, error.headers["Allow"]) == (405, "GET")

    def commands(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(*arguments: str) -> None:
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                cli.main(arguments)
            self.note(" ".join(arguments[:2]), said.getvalue())

        bundle = folder / "report.zip"
        run("doctor", "--bundle", str(bundle))
        with zipfile.ZipFile(bundle) as inside:
            for name in inside.namelist():
                self.note(f"bundle: {name}", inside.read(name).decode())
        run("hub")
        run("export", "task_history", str(folder / "history.parquet"))
        self.note("export", (folder / "history.parquet.json").read_text())
        run("doctor", "--json")
        monkeypatch.setenv("WORKBENCH_TOKEN", CANARIES["short"])
        run("stop")
        monkeypatch.delenv("WORKBENCH_TOKEN")

    def settings(self) -> None:
        secret = CANARIES["settings-file"]
        self.note("settings", load_settings(data=self.data, token=secret, llm_keys=f"x={secret}"))
        self.tried("bad settings", lambda: load_settings(data=self.data, submit_token=[secret]))
        self.tried("unknown", lambda: load_settings(data=self.data, tokken=secret))

    def notebook(self, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        import nbclient
        import nbformat

        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        cells = CELLS.replace("URL", "open('address').read()").strip().split("\n---\n")
        (self.data / "address").write_text(self.url)
        book = nbformat.v4.new_notebook()
        book.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        where = {"metadata": {"path": str(self.data)}}
        nbclient.NotebookClient(
            book, timeout=100, kernel_name="python3", allow_errors=True, resources=where
        ).execute()
        (self.data / "address").unlink()
        kinds = [each["output_type"] for cell in book.cells for each in cell["outputs"]]
        assert kinds.count("error") >= 5, kinds
        for cell in book.cells:
            self.note(f"cell {cell.source[:40]!r}", json.dumps(cell["outputs"]))

    def tables(self) -> None:
        bench = workbench.connect(self.data, start=False)
        names = bench.query("SELECT table_name FROM information_schema.tables", fresh=True)
        for row in names.rows():
            name = row["table_name"]
            self.note(f"table {name}", str(bench.query(f'SELECT * FROM "{name}"').rows()))
        assert bench.query("SELECT count(*) AS n FROM tasks").rows()[0]["n"] >= 4
        bench.close()

    def every_file(self) -> None:
        for path in self.data.rglob("*"):
            if path.is_file() and path.name not in ALLOWED:
                self.note(f"file {path.relative_to(self.data)}", path.read_bytes().decode("latin1"))


def _every_word(error: BaseException) -> Iterator[str]:
    """An error as the most talkative traceback shows it: with the values in its frames' locals."""
    import IPython.core.ultratb as tracebacks

    shown, trace = (
        tracebacks.VerboseTB(theme_name="nocolor", include_vars=True),
        error.__traceback__,
    )
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next  # a test's own variables are its own
    if isinstance(error, WorkbenchError):
        yield "\n".join(error._render_traceback_())  # as IPython does
    else:
        yield shown.text(type(error), error, trace)
    yield f"{error!r} {error}"
    if isinstance(error, WorkbenchError):
        yield f"{error.template} {error.values}"


def _page(url: str, headers: dict[str, str]) -> str:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return str(answer.headers) + answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers) + error.read().decode()


def sightings(texts: Texts) -> list[str]:
    """Which canary stands where, as it is or as an address spells it."""
    return [
        f"{what} in {where}: ...{_around(text, spelt)}..."
        for what, canary in CANARIES.items()
        for where, text in texts.items()
        for spelt in {canary, quote(canary, safe="")}
        if spelt in text
    ]


def _around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 150) : at + 40].replace("\n", " ")


@pytest.fixture
def model_server() -> Iterator[FakeOpenAI]:
    with faking(FakeOpenAI()) as server:
        server.routes[CHAT] = talkative
        server.routes["GET /api/models/org/gated"] = lambda asked, value: reply(
            asked, {"error": f"no access with {asked.headers['Authorization']}"}, 403
        )
        yield server


def test_no_secret_is_in_any_log_table_file_answer_error_or_output(
    tmp_path: Path, model_server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings = {
        "WORKBENCH_TOKEN": CANARIES["admin-token"],
        "WORKBENCH_SUBMIT_TOKEN": CANARIES["submit-token"],
        "WORKBENCH_VIEW_TOKEN": CANARIES["view-token"],
        "WORKBENCH_LLM_SERVERS": f"cloud={model_server.url}",
        "WORKBENCH_LLM_KEYS": f"cloud={CANARIES['model-server-key']}",
        "WORKBENCH_LLM_DISCOVER": "0",
        "WORKBENCH_PRIVATE_ADDRESSES": "1",
        "WORKBENCH_LOG_LEVEL": "debug",
        "WORKBENCH_SLOTS": "1",
        "HF_TOKEN": CANARIES["hugging-face"],
        "HF_ENDPOINT": model_server.url,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }
    with serving(batches) as files, HubProcess(data, **settings):
        drive = Drive(data, files)
        drive.kernel()
        drive.sockets()
        drive.pages()
        drive.settings()
        drive.notebook({"WORKBENCH_DATA": str(data)}, monkeypatch)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        drive.commands(tmp_path, monkeypatch)
        drive.tables()
    drive.every_file()
    # The secrets were where they belong, so the search means something.
    assert any(CANARIES["url-query"] in path for path, _ in files.seen)
    sent = json.dumps(model_server.headers)
    assert CANARIES["model-server-key"] in sent
    assert model_server.values(CHAT)
    assert CANARIES["hugging-face"] in sent
    assert any(CANARIES["signed-url"] in path for path, _ in files.seen)
    assert not sightings(drive.seen), "\n".join(sightings(drive.seen))


def test_the_search_finds_what_is_there() -> None:
    canary = CANARIES["url-query"]
    assert len(sightings({"a": f"x{canary}y", "b": "nothing"})) == 1
    assert len(set(CANARIES.values())) == len(CANARIES)
