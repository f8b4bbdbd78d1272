"""What the API's views share. All of it is set here, so that the settings of the ML protocol stay its own."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet

from mlserver.api.authentication import OperatorTokenAuthentication
from mlserver.api.errors import exception_handler
from mlserver.api.filters import RegistryFilterBackend
from mlserver.api.pagination import OperatorPagination
from mlserver.api.permissions import METHODS, RegistryPermission
from mlserver.api.throttling import OperatorThrottle
from mlserver.protocol.errors import BodyTooLarge
from mlserver.protocol.json import FixedNegotiation, OrjsonParser

MAX_BODY = 1024 * 1024


class OperatorView(APIView):
    """JSON in and out, for users with a token or a session."""

    authentication_classes = [OperatorTokenAuthentication, SessionAuthentication]
    permission_classes = [RegistryPermission]
    throttle_classes = [OperatorThrottle]
    parser_classes = [OrjsonParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = FixedNegotiation
    http_method_names = [method.lower() for method in METHODS]
    versioning_class = None

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return the API's own."""
        return exception_handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body that is not to be read before anything reads it, as the check for CSRF does."""
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY:
            raise BodyTooLarge(f"The body is larger than {MAX_BODY // 1024} KB; name fewer events at once.")
        if length and FixedNegotiation().select_parser(request, self.get_parsers()) is None:
            raise UnsupportedMediaType(request.content_type, "Send the body as application/json.")
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate and count: also those who are refused, before anything else is done for them."""
        try:
            super().perform_authentication(request)
        finally:
            super().check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        """Count no request twice."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Keep answers out of caches: they are for one user."""
        return {**super().default_response_headers, "Cache-Control": "no-store"}


class RegistryViewSet(OperatorView, ReadOnlyModelViewSet[Any]):
    """A list and its rows."""

    pagination_class = OperatorPagination
    filter_backends = [RegistryFilterBackend]
    lookup_value_regex = "[0-9]+"
    orderings: ClassVar[tuple[str, ...]] = ("-id", "id")
    action_permissions: ClassVar[Mapping[str, str]] = {}
    """What an action asks for beside the permission to view the model."""
    detail_serializer_class: type[BaseSerializer[Any]] | None = None
    """Of a row by itself, where that shows more than the list."""
    heavy: ClassVar[tuple[str, ...]] = ()
    """Columns that lists do not load."""

    @property
    def operator(self) -> AbstractUser:
        """The user who asks."""
        assert isinstance(self.request.user, AbstractUser)  # noqa: S101  (the permissions let nobody else in)
        return self.request.user

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows, in a list without what it does not show."""
        rows = super().get_queryset()
        return rows.defer(*self.heavy) if self.action == "list" else rows

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return the one of a row by itself, or of a list."""
        if self.action != "list" and self.detail_serializer_class is not None:
            return self.detail_serializer_class
        return super().get_serializer_class()

    def told(self, command: type[BaseSerializer[Any]]) -> dict[str, Any]:
        """Return what the body says; raise ValidationError naming each wrong field."""
        serializer = command(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        said: dict[str, Any] = serializer.validated_data
        return said
