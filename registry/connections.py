"""The database connection of this thread, which outlives requests and fits."""

from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

LOST = (OperationalError, InterfaceError)
Answer = TypeVar("Answer")


def on_a_living_connection(ask: Callable[[], Answer]) -> Answer:
    """Ask once more on a new connection where the old one is lost.

    The database may have been restarted since the connection was used last. One that is away raises
    again, and so does a transaction, of which the first part is lost.
    """
    try:
        return ask()
    except LOST:
        if connection.in_atomic_block:
            raise
        connection.close()
        return ask()
