"""`workbench runes audit`: a producer's file held against a state of one's own, as a page."""

# ruff: noqa: T201  # printing is what a command line does
from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.sentence import Speech, Told, told
from workbench.errors import InputError
from workbench.version import VERSION

if TYPE_CHECKING:
    from workbench.runes.audit import Moved
    from workbench.runes.batch import Batch
    from workbench.runes.evidence import Asked
    from workbench.settings import Settings

_ID = re.compile(r"[0-9]+:[0-9]+")
NO_OWN = (
    "{ours} is neither a file nor the alias of a batch: give a batch, a snapshot of the state, raw "
    "blocks, or the alias of a batch that the hub keeps"
)


def audit(given: Namespace, settings: Settings) -> int:
    """Write the page; 0 where nothing is wrong, 1 where something is."""
    from workbench.runes.audit import audit as auditing
    from workbench.runes.audit_page import audit_page
    from workbench.runes.packing import write_file
    from workbench.widgets.bundle import catalogue

    source = given.against if len(given.against) > 1 else given.against[0]
    ours = _ours(given, settings)
    network = given.network or getattr(ours, "network", None)
    theirs = _read(source, given, producer=given.producer, network=network, height=given.height)
    found = auditing(ours, theirs, given.rune)
    speech = Speech(given.language, catalogue(given.language))
    page = audit_page(found, version=VERSION, speech=speech)
    try:
        write_file(given.output, page.encode())
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "{path} cannot be written: {reason}", path=str(given.output), reason=reason
        ) from None
    for moved in found.moved[:10]:
        print(speech.say(_moved(moved)))
    print(speech.say(found.sentence))
    print(speech.say(told("the report is at {path}", path=str(given.output))))
    return 0 if found.agrees else 1


def _moved(moved: Moved) -> Told:
    values = {"kind": moved.kind, "ours": str(moved.ours), "theirs": str(moved.theirs)}
    return told("{txid}: {kind}, ours {ours}, theirs {theirs}", txid=moved.txid, **values)


def _ours(given: Namespace, settings: Settings) -> Asked:
    """A snapshot of the state, a batch or raw blocks; else what a hub keeps."""
    from workbench.session.batches import ALIAS

    path = Path(given.ours)
    if not path.exists():
        if not ALIAS.fullmatch(given.ours):
            raise InputError(NO_OWN, ours=given.ours)
        from workbench.session import connect

        try:
            return connect(settings.data).batch(given.ours)
        except InputError:
            raise InputError(NO_OWN, ours=given.ours) from None
    return _read(path, given, network=given.network)


def _read(source: Any, given: Namespace, **told: Any) -> Batch:
    """Documents that do not say of which rune they are, are of the one that is asked about."""
    from workbench.runes.reading import read, says_its_runes

    if _ID.fullmatch(given.rune) and not says_its_runes(source):
        told["rune"] = given.rune
    return read(source, **told)
