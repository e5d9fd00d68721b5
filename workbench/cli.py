"""`workbench ...`: the hub, the page, JupyterLab, the doctor, exports, the store and Runes tools.

Each command imports what it needs, so that `workbench --help` is there at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.sentence import LANGUAGES
from workbench.errors import InputError, SettingsError, StoreError, WorkbenchError

if TYPE_CHECKING:
    from workbench.settings import Settings

RUNNING = (
    "a hub runs on {folder} already (PID {pid}): notebooks and the page use that one; "
    "`workbench stop --data {folder}`, or `make stop` in a clone, stops it"
)
DATA_HELP = "the data folder (WORKBENCH_DATA)"


def build_parser() -> argparse.ArgumentParser:
    """Every command with its switches."""
    parser = argparse.ArgumentParser(prog="workbench", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_hub(commands)
    _add_pages(commands)
    _add_doctor(commands)
    _add_export(commands)
    _add_runes(commands)
    _add_store(commands)
    stop = _command(commands, "stop", stop_hub, "drain the running hub and stop it")
    stop.add_argument("--data", type=Path, help=DATA_HELP)
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_hub(commands: Any) -> None:
    parser = _command(commands, "hub", hub, "run the hub in this terminal until Ctrl-C")
    parser.add_argument("--data", type=Path, help=DATA_HELP)
    parser.add_argument("--ws-port", type=int, metavar="N", help="port of /ws; 0: a free one")
    parser.add_argument("--mesh-port", type=int, metavar="N", help="port of /mesh; 0: a free one")
    parser.add_argument(
        "--token",
        metavar="T",
        help="the admin token; others may see it in the list of processes, "
        "WORKBENCH_TOKEN they cannot",
    )
    parser.add_argument("--print-urls", action="store_true", help="print both addresses")
    parser.add_argument(
        "--free-ports", action="store_true", help="take free ports where the wanted are taken"
    )


def _add_pages(commands: Any) -> None:
    app = _command(commands, "app", page, "open the workbench as a page in the browser")
    lab = _command(commands, "lab", page, "open JupyterLab on the notebooks, on the same hub")
    for parser in (app, lab):
        parser.add_argument("--data", type=Path, help=DATA_HELP)
        parser.add_argument("--port", type=int, metavar="N", help="port of the page")
        parser.add_argument("--no-browser", action="store_true", help="only print the address")


def _add_doctor(commands: Any) -> None:
    parser = _command(
        commands, "doctor", doctor, "say what is there, what is missing and the remedy"
    )
    parser.add_argument("--data", type=Path, help=DATA_HELP)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    text = "write all that a bug report needs, without secrets, and say what is inside"
    parser.add_argument("--bundle", type=Path, metavar="FILE.zip", help=text)
    parser.add_argument(
        "--network", action="store_true", help="also look up a public name, to see the network"
    )


def _add_export(commands: Any) -> None:
    text = "write a table, a view or the answer to a query as Parquet, with a JSON file about it"
    parser = _command(commands, "export", export, text)
    parser.add_argument("what", help="a table or view such as task_history, or a SELECT")
    parser.add_argument("target", type=Path, help="the Parquet file to write")
    parser.add_argument("--data", type=Path, help=DATA_HELP)


def _add_runes(commands: Any) -> None:
    from workbench.core.rune import NETWORKS

    runes = commands.add_parser("runes", help="fetch and decode blocks")
    verbs = runes.add_subparsers(dest="verb", metavar="VERB", required=True)
    fetch = _command(verbs, "fetch", runes_fetch, "get a block, check and store it")
    fetch.add_argument("--height", type=int, required=True, metavar="N")
    fetch.add_argument(
        "--source",
        metavar="URL",
        help="an Esplora server or a node's RPC; without one, a public Esplora server",
    )
    fetch.add_argument("--no-spent", action="store_true", help="without the outputs it spends")
    fetch.add_argument("--data", type=Path, help=DATA_HELP)
    decode = _command(verbs, "decode", runes_decode, "decode a raw block file")
    decode.add_argument("file", type=Path)
    decode.add_argument("--spent", type=Path, metavar="FILE", help="the outputs that it spends")
    decode.add_argument("--save", type=Path, metavar="FILE", help="write the batch there")
    check = _command(verbs, "audit", runes_audit, "say where a producer is wrong of a rune")
    check.add_argument("rune", help="its id, such as 840000:3, or its name")
    text = "what the producer says: its files"
    check.add_argument("--against", nargs="+", required=True, metavar="FILE", help=text)
    text = "our own: a batch, a snapshot, raw blocks, or the alias of a batch of the hub"
    check.add_argument("--ours", required=True, metavar="WHAT", help=text)
    check.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html")
    check.add_argument("--producer", help="whose the files are, where they do not tell")
    check.add_argument("--height", type=int, metavar="N", help="the block at which they stood")
    check.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0], help="of the report")
    check.add_argument("--data", type=Path, help=DATA_HELP)
    for parser in (fetch, decode):
        parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0])
    text = "what the files do not say themselves; mainnet where nothing says it"
    for parser in (check, *_add_snapshot(verbs)):
        parser.add_argument("--network", choices=NETWORKS, help=text)


def _add_snapshot(runes: Any) -> Iterator[argparse.ArgumentParser]:
    snapshot = runes.add_parser("snapshot", help="keep the state of the Runes, check it, go on")
    verbs = snapshot.add_subparsers(dest="step", metavar="STEP", required=True)
    create = _command(verbs, "create", runes_snapshot, "write the state after blocks or of a dump")
    create.add_argument("file", type=Path, help="the snapshot to write")
    create.add_argument("--height", type=int, metavar="N", help="the block at which the dump stood")
    create.add_argument("--producer", help="whose the dump is, where it does not tell")
    create.add_argument("--window", type=int, default=100, help="blocks that can be taken back")
    verify = _command(verbs, "verify", runes_snapshot, "check a snapshot, or compute it again")
    load = _command(verbs, "load", runes_snapshot, "go on from a snapshot, block by block")
    load.add_argument("--batch", type=Path, metavar="FILE", help="write the new blocks' batch")
    for parser in (verify, load):
        parser.add_argument("file", type=Path, help="the snapshot to read")
        parser.add_argument("--save", type=Path, metavar="FILE", help="write the new snapshot")
    for parser in (create, verify, load):
        text = "raw blocks: a node's folder, blk*.dat, or one a file"
        parser.add_argument("--blocks", type=Path, nargs="+", metavar="PATH", help=text)
    for parser in (create, verify):
        text = "a producer's dump: entries and balances"
        parser.add_argument("--dump", type=Path, nargs="+", metavar="FILE", help=text)
        text = "nobody held runes before the first of the blocks"
        parser.add_argument("--from-start", action="store_true", help=text)
    for parser in (create, load):
        parser.add_argument("--until", type=int, metavar="N", help="the last block to apply")
    yield create


def _add_store(commands: Any) -> None:
    store = commands.add_parser("store", help="look at what is kept, back it up, bring it back")
    verbs = store.add_subparsers(dest="verb", metavar="VERB", required=True)
    look = _command(verbs, "status", store_verb, "sizes, rows, what is missing")
    look.add_argument("--json", action="store_true", help="print it as JSON")
    small = _command(verbs, "compact", store_verb, "free the space of what was deleted")
    save = _command(verbs, "backup", store_verb, "copy all that is kept, also while a hub runs")
    save.add_argument("target", type=Path, help="the folder to write, not there yet")
    back = _command(verbs, "restore", store_verb, "put a backup into the data folder")
    back.add_argument("source", type=Path, help="the folder that `workbench store backup` wrote")
    back.add_argument("--force", action="store_true", help="keep a store that is there aside")
    mend = _command(verbs, "salvage", store_verb, "open a store whose log is damaged")
    for parser in (look, small, save, back, mend):
        parser.add_argument("--data", type=Path, help=DATA_HELP)


def hub(given: argparse.Namespace) -> int:
    """Run a hub until it is told to stop."""
    settings = _settings(given, ws_port=given.ws_port, mesh_port=given.mesh_port, token=given.token)
    from workbench import serve
    from workbench.clients.discovery import hub_process

    running = hub_process(settings.data)
    if running is not None:
        raise StoreError(RUNNING, folder=str(settings.data), pid=running.pid)
    serve.main(settings, free_ports=given.free_ports, print_urls=given.print_urls)
    return 0


def page(given: argparse.Namespace) -> int:
    """Make sure that a hub runs, then serve the page or JupyterLab."""
    settings = _settings(given)
    from workbench import page as pages
    from workbench.clients.discovery import find_or_start
    from workbench.clients.versions import OtherWire, difference

    try:
        differs = difference(settings.data, asyncio.run(find_or_start(settings.data)))
        said = str(differs[1]) if differs is not None else ""
    except OtherWire as error:  # the page says so too, and offers to restart the hub
        said = str(error)
    if said:
        print(f"workbench: {said}", file=sys.stderr)

    name = "the workbench" if given.command == "app" else "JupyterLab"
    already = None if given.port else pages.open_page(given.command, settings.data)
    if already:
        print(f"{name} is open already, at {already}")
        if not given.no_browser:
            webbrowser.open(already)
        return 0

    def ready(url: str) -> None:
        print(f"{name} is at {url}")
        print(
            "Ctrl-C closes the page; the hub goes on with its tasks until `workbench stop`.",
            flush=True,
        )

    pages.run(
        given.command,
        data=settings.data,
        port=given.port,
        browser=not given.no_browser,
        ready=ready,
    )
    return 0


def doctor(given: argparse.Namespace) -> int:
    """Print every finding."""
    if given.bundle is not None:
        return bundle(given)
    from workbench import doctor as doctors

    findings = doctors.examine(_settings(given), network=given.network)
    print(doctors.as_json(findings) if given.json else "\n".join(doctors.lines(findings)))
    return doctors.exit_code(findings)


def bundle(given: argparse.Namespace) -> int:
    """Say what goes into a bug report, then write it."""
    from workbench import bug_report

    settings, refused = bug_report.settings_or_refusal(given.data)
    texts = asyncio.run(bug_report.collect(settings, refused))
    print("\n".join(bug_report.listing(texts)), flush=True)
    bug_report.write(texts, given.bundle)
    print(f"written to {given.bundle}: look through it before you send it")
    return 0


def stop_hub(given: argparse.Namespace) -> int:
    """Stop the hub of this data folder, if one runs."""
    settings = _settings(given)
    from workbench.clients import discovery

    stopped = asyncio.run(discovery.stop_hub(settings.data))
    print("the hub has stopped" if stopped else f"no hub runs on {settings.data}")
    return 0


def export(given: argparse.Namespace) -> int:
    """Write Parquet from the running hub, or from the store itself when no hub runs."""
    settings = _settings(given)
    from workbench.exporting import export_from

    written = asyncio.run(export_from(settings, given.what, given.target))
    print(f"{written.rows} rows in {written.path}, described in {written.page}")
    return 0


def runes_fetch(given: argparse.Namespace) -> int:
    """Get one block, with the outputs that it spends where the source has them."""
    from workbench import runes_cli

    return runes_cli.fetch(given, _settings(given))


def runes_decode(given: argparse.Namespace) -> int:
    """Say what a raw block holds."""
    from workbench import runes_cli

    return runes_cli.decode(given)


def runes_snapshot(given: argparse.Namespace) -> int:
    """`create`, `verify` or `load`."""
    from workbench import snapshot_cli

    code: int = getattr(snapshot_cli, given.step)(given)
    return code


def runes_audit(given: argparse.Namespace) -> int:
    """Say where a producer is wrong, on a page."""
    from workbench import audit_cli

    return audit_cli.audit(given, _settings(given))


def store_verb(given: argparse.Namespace) -> int:
    """`status`, `compact`, `backup`, `restore` or `salvage`."""
    from workbench import store_cli

    code: int = getattr(store_cli, given.verb)(given, _settings(given))
    return code


def _settings(given: argparse.Namespace, **more: Any) -> Settings:
    from workbench.settings import load_settings

    return load_settings(data=given.data, **more)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong usage or setting, 130 stopped by Ctrl-C."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.version:
        from workbench.version import VERSION

        print(VERSION)
        return 0
    if given.command is None:
        parser.print_help()
        return 2
    try:
        code: int = given.run(given)
    except (SettingsError, InputError) as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 0
    return code


if __name__ == "__main__":
    raise SystemExit(main())
