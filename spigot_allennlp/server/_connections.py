import logging
import resource
from asyncio import TimerHandle, Transport
from dataclasses import replace
from functools import partial
from typing import Any, Optional

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spigot_allennlp.server.limits import Limits

logger = logging.getLogger(__name__)

BACKLOG = 128
"""How many connections may come at once, while the server is busy for a moment."""
_OTHER_FILES = 64  # which the program has open


class Connection(HttpToolsProtocol):
    """
    A connection as uvicorn has them, which also ends. Where too many are open, the one that has been idle longest makes
    room; uvicorn itself would only refuse requests. And it is closed on which the head of a request does not come in
    time, whether or not it has begun, or the answer is not fetched; uvicorn itself waits for ever for the first one.

    # Parameters

    limits : `Limits`
    others : `Any`
        As uvicorn gives them.
    """

    def __init__(self, limits: Limits, **others: Any) -> None:
        super().__init__(**others)
        self._max_connections = limits.max_connections
        self._idle_timeout = limits.idle_timeout
        self._deadline: Optional[TimerHandle] = None
        self._unsent = 0

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self._wait_for_head()
        is_open = [connection for connection in self.connections if not connection.transport.is_closing()]
        if len(is_open) > self._max_connections:
            idle = [connection for connection in is_open if connection._is_idle and connection is not self]
            min(idle, key=lambda connection: connection._deadline.when(), default=self).transport.abort()

    def connection_lost(self, error: Optional[Exception]) -> None:
        super().connection_lost(error)
        self._deadline.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # of uvicorn, which ends with the first byte of a head
        self._wait_for_head()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(self._idle_timeout, self._give_up)

    def _give_up(self) -> None:
        if not self._is_idle:
            return  # It is waited for the next one when this one is answered.
        if self.transport.get_write_buffer_size() < self._unsent:
            self._wait_for_head()  # The answer to the last one is still on its way.
        else:
            self.transport.abort()


def connections(limits: Limits) -> partial:
    """
    What uvicorn is to make connections with. There are fewer than `max_connections`, if the system does not allow this
    program so many open files.
    """
    num_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if num_files != resource.RLIM_INFINITY:
        possible = max(1, num_files - BACKLOG - _OTHER_FILES)
        if possible < limits.max_connections:
            logger.warning("at most %d connections are kept open, for this system allows %d files", possible, num_files)
            limits = replace(limits, max_connections=possible)
    return partial(Connection, limits=limits)
