"""How many requests an operator may make: API_THROTTLE.

They are counted in the Redis of the queue, which every web process shares, on every machine. Django's
default cache would count in each process for itself, so that each more of them allowed as much again.
"""

import logging
import time

import django_rq
from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from registry.drains import QUEUE

logger = logging.getLogger(__name__)

PREFIX = "api-throttle"


class OperatorThrottle(BaseThrottle):
    """Count the requests of each user, and those of strangers by the address they come from."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether this one is within the rate.

        INCR is atomic, so that no two requests are counted as one. Where Redis is away every request
        is allowed: an operator is needed then most of all.
        """
        rate = settings.API_THROTTLE
        now = time.time()
        self._wait = rate.seconds - now % rate.seconds
        key = f"{PREFIX}:{_who(request)}:{rate.seconds}:{int(now // rate.seconds)}"
        try:
            with django_rq.get_connection(QUEUE).pipeline() as pipe:
                count, _ = pipe.incr(key).expire(key, rate.seconds).execute()
        except RedisError as exc:
            logger.warning("Requests of the API are not counted, as Redis is away: %s", exc)
            return True
        return bool(count <= rate.limit)

    def wait(self) -> float:
        """Return the seconds until the next ones are allowed."""
        return self._wait


def _who(request: Request) -> str:
    if request.user and request.user.is_authenticated:
        return f"user {request.user.pk}"
    # Not what X-Forwarded-For says: a stranger writes another one into each request.
    return f"address {request.META.get('REMOTE_ADDR', '')}"
