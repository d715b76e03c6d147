"""What is on its way to a server over loopback, so that its clock is not moved under it."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_LOOKS = 30_000
"""What was sent over loopback is read well before that."""
_LOOK_SECONDS = 0.001


@dataclass(slots=True)
class Arrivals:
    """
    The connections of a server, and those on which a request is being read.

    What a process sent right before it was held or killed may still be unread. No network keeps it for a
    day: with the arrival of a later clock it would be another request than the one that was made.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    _connections: set[socket.socket] = field(default_factory=set)
    _unread: set[socket.socket] = field(default_factory=set)

    def accepted(self, accept: Callable[[], tuple[socket.socket, Any]]) -> tuple[socket.socket, Any]:
        """Take a connection in."""
        with self.lock:
            taken_in = accept()
            self._connections.add(taken_in[0])
            return taken_in

    def left(self, connection: socket.socket, finish: Callable[[], None]) -> None:
        """Let a connection end."""
        with self.lock:
            self._connections.discard(connection)
            finish()

    @contextlib.contextmanager
    def reading(self, connection: socket.socket) -> Iterator[None]:
        """Wait for a request without touching it; it is on its way until it is noted, or dealt with."""
        select.select((connection,), (), ())
        with self.lock:
            self._unread.add(connection)
        try:
            yield
        finally:
            self.note(connection)

    def note(self, connection: socket.socket) -> None:
        """Note that a request has come."""
        with self.lock:
            self._unread.discard(connection)

    @contextlib.contextmanager
    def all_noted(self, listening: socket.socket) -> Iterator[None]:
        """Wait until nothing that was sent is on its way; and nothing is noted for the time of this."""
        for _ in range(MAX_LOOKS):
            with self.lock:
                if not (self._unread or select.select((listening, *self._connections), (), (), 0)[0]):
                    yield
                    return
            time.sleep(_LOOK_SECONDS)
        raise AssertionError("what is on its way never arrives")


class WatchedServer(ThreadingHTTPServer):
    """Listens on a port of its own, and lets it be known what is on its way."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], arrivals: Arrivals) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.arrivals = arrivals

    def get_request(self) -> tuple[socket.socket, Any]:
        """Let it know of each connection."""
        return self.arrivals.accepted(super().get_request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whom it talks to is killed again and again."""
