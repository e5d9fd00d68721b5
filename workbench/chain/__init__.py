"""Where blocks come from: an Esplora server, or a Bitcoin node's RPC, and its bell."""

from __future__ import annotations

from workbench.chain.esplora import Esplora as Esplora
from workbench.chain.node_rpc import NodeRpc as NodeRpc
from workbench.chain.node_zmq import NodeZmq as NodeZmq
from workbench.http import Http

PUBLIC_ESPLORA = "https://mempool.space/api"


def open_source(http: Http, url: str = PUBLIC_ESPLORA) -> Esplora | NodeRpc:
    """The source at `url`: a node's RPC where the URL has user and password, else Esplora."""
    place = url.partition("//")[2].partition("/")[0]
    return NodeRpc(http, url) if "@" in place else Esplora(http, url)
