"""A server of one file for downloads.py: ranges by sendfile, and what hf_hub_download asks for.

`_file_server.py FILE SHA256 BYTES_S` prints its port; BYTES_S limits each connection, 0 none.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from http.client import parse_headers
from io import BufferedReader

STEP = 256 * 1024


def head(status: str, sha256: str, **headers: object) -> bytes:
    commit = "0" * 40
    lines = [
        f"HTTP/1.1 {status}",
        f'ETag: "{sha256}"',
        f"X-Repo-Commit: {commit}",
        "Accept-Ranges: bytes",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def send(connection: socket.socket, fd: int, start: int, end: int, bytes_s: float) -> None:
    due = time.monotonic()
    while start < end:
        count = os.sendfile(connection.fileno(), fd, start, min(STEP, end - start))
        start += count
        if bytes_s:
            due += count / bytes_s
            time.sleep(max(0.0, due - time.monotonic()))


def answer(
    connection: socket.socket, stream: BufferedReader, fd: int, sha: str, pace: float
) -> bool:
    """One exchange; False at the end of the connection."""
    line = stream.readline()
    if not line:
        return False
    method, size = line.split()[0], os.fstat(fd).st_size
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", parse_headers(stream).get("range", ""))
    start, end = 0, size
    if found:
        start, end = int(found[1]), int(found[2] or size - 1) + 1
    where = {"Content_Range": f"bytes {start}-{end - 1}/{size}"} if found else {}
    status = "206 Partial Content" if found else "200 OK"
    connection.sendall(head(status, sha, Content_Length=end - start, **where))
    if method != b"HEAD":
        send(connection, fd, start, end, pace)
    return True


def serve(connection: socket.socket, fd: int, sha256: str, bytes_s: float) -> None:
    try:
        with connection, connection.makefile("rb") as stream:
            while answer(connection, stream, fd, sha256, bytes_s):
                pass
    except OSError:
        pass  # the client has what it wanted


def main(path: str, sha256: str, bytes_s: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=serve, args=(connection, fd, sha256, float(bytes_s)), daemon=True
            ).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
