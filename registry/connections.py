"""The database connection of this thread, which outlives requests and fits."""

from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

Answer = TypeVar("Answer")


def is_lost(exc: BaseException) -> bool:
    """Say whether the database went away, rather than refused a statement.

    Where it dies in the middle of an answer, psycopg2 raises DatabaseError itself, of no kind.
    """
    return isinstance(exc, OperationalError | InterfaceError) or type(exc) is DatabaseError


def on_a_living_connection(ask: Callable[[], Answer]) -> Answer:
    """Ask once more on a new connection where the old one is lost.

    The database may have been restarted since the connection was used last. One that is away raises
    again, and so does a transaction, of which the first part is lost.
    """
    try:
        return ask()
    except Error as exc:
        if connection.in_atomic_block or not is_lost(exc):
            raise
        connection.close()
        return ask()
