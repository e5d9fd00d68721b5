"""`workbench ...`: the hub, the page, JupyterLab, the doctor, exports and Runes tools.

Each command imports what it needs, so that `workbench --help` is there at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    for parser in (fetch, decode):
        parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0])


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

    asyncio.run(find_or_start(settings.data))

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
    from workbench import doctor as doctors

    findings = doctors.examine(_settings(given), network=given.network)
    print(doctors.as_json(findings) if given.json else "\n".join(doctors.lines(findings)))
    return doctors.exit_code(findings)


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


def _settings(given: argparse.Namespace, **more: Any) -> Settings:
    from workbench.settings import load_settings

    return load_settings(data=given.data, **more)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong usage or setting, 130 stopped by Ctrl-C."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.version:
        import importlib.metadata

        print(importlib.metadata.version("runes-workbench"))
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
