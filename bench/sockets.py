"""A load generator where there is no wrk: one process per connection, which it keeps alive."""

import multiprocessing
import re
import socket
import time
from urllib.parse import urlsplit

from bench.cases import Case

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


def hammer(case: Case, url: str, seconds: int, connections: int) -> tuple[list[float], int]:
    """Return the latency of every answered request, in seconds, and how many went wrong."""
    with multiprocessing.get_context("fork").Pool(connections) as pool:
        parts = pool.starmap(_one_connection, [(case, url, seconds)] * connections, chunksize=1)
        pool.close()
        pool.join()
    return [latency for latencies, _ in parts for latency in latencies], sum(errors for _, errors in parts)


def _one_connection(case: Case, url: str, seconds: int) -> tuple[list[float], int]:
    address = urlsplit(url)
    request = _request(case, address.path, address.netloc)
    latencies: list[float] = []
    errors = 0
    with socket.create_connection((address.hostname or "", address.port or 80)) as connection:
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            connection.sendall(request)
            answer = connection.recv(65536)
            while not _is_whole(answer):
                answer += connection.recv(65536)
            latencies.append(time.perf_counter() - begin)
            errors += not answer.startswith(b"HTTP/1.1 2")
    return latencies, errors


def _request(case: Case, path: str, host: str) -> bytes:
    head = [f"{case.method} {path} HTTP/1.1", f"Host: {host}", "Accept: */*"]
    if case.body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(case.body)}"]
    return "\r\n".join([*head, "", ""]).encode() + (case.body or b"")


def _is_whole(answer: bytes) -> bool:
    if not answer:
        raise ConnectionError("The server closed the connection.")
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    head = head.lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    match = _LENGTH.search(head)
    return match is None or len(body) >= int(match[1])
