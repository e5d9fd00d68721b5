"""Who sees which conversation: what is sent goes to all who look at it, and to nobody else."""

from __future__ import annotations

from typing import Any

from workbench.core.hub_wire import Busy, RequestId, message
from workbench.listener import Connection

FOLLOWED_LIMIT = 100


class Audience:
    """One conversation looked at by each connection, and those that it follows besides."""

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}
        self._looks_at: dict[int, int] = {}
        self._followed: dict[int, set[int]] = {}
        self._listing: set[int] = set()

    def look(self, connection: Connection, conversation_id: int) -> None:
        """From now on this is the one that the connection looks at."""
        self._connections[connection.id] = connection
        self._looks_at[connection.id] = conversation_id

    def looked_at(self, connection: Connection) -> int | None:
        """What a connection looks at, if anything yet."""
        return self._looks_at.get(connection.id)

    def follow(self, connection: Connection, conversation_id: int) -> None:
        """Look at it, and go on seeing it when looking at another."""
        followed = self._followed.setdefault(connection.id, set())
        if conversation_id not in followed and len(followed) >= FOLLOWED_LIMIT:
            raise Busy(
                "this connection follows {limit} conversations already: unfollow one first",
                limit=FOLLOWED_LIMIT,
            )
        followed.add(conversation_id)
        self.look(connection, conversation_id)

    def unfollow(self, connection: Connection, conversation_id: int) -> None:
        """See it no longer."""
        self._followed.get(connection.id, set()).discard(conversation_id)
        if self._looks_at.get(connection.id) == conversation_id:
            del self._looks_at[connection.id]

    def watch_list(self, connection: Connection) -> None:
        """The connection shows the list of conversations."""
        self._connections[connection.id] = connection
        self._listing.add(connection.id)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.pop(connection.id, None)
        self._looks_at.pop(connection.id, None)
        self._followed.pop(connection.id, None)
        self._listing.discard(connection.id)

    def tell(
        self,
        conversation_id: int,
        kind: str,
        data: dict[str, Any],
        *,
        asker: Connection | None = None,
        request_id: RequestId = None,
    ) -> None:
        """Send to all who see the conversation; `asker` gets it as the answer to its request."""
        viewers = self._viewers(conversation_id)
        if not viewers and asker is None:
            return
        frame = message(kind, data)
        for viewer in viewers:
            if asker is None or viewer.id != asker.id:
                viewer.send(frame)
        if asker is not None:
            asker.send(message(kind, data, request_id))

    def tell_listing(
        self,
        conversation_id: int,
        kind: str,
        data: dict[str, Any],
        besides: Connection | None = None,
    ) -> None:
        """Send what changed in the list: to those who list, and to those who see this one."""
        ids = self._listing | {each.id for each in self._viewers(conversation_id)}
        frame = message(kind, data)
        for number in ids - ({besides.id} if besides else set()):
            self._connections[number].send(frame)

    def _viewers(self, conversation_id: int) -> list[Connection]:
        return [
            connection
            for number, connection in self._connections.items()
            if self._looks_at.get(number) == conversation_id
            or conversation_id in self._followed.get(number, ())
        ]
