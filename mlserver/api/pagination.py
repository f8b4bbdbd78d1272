"""Pages by cursor: they neither repeat nor miss rows while new ones come."""

from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import Field, Model, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

MAX_PAGE_SIZE = 200


class OperatorPagination(CursorPagination):
    """The newest first, unless another of the view's `orderings` is asked for; what is asked for wrongly is refused."""

    page_size = 50
    page_size_query_param = "page_size"
    page_size_query_description = "How many rows a page has."
    max_page_size = MAX_PAGE_SIZE
    cursor_query_description = "Where the page begins: as in `next` and `previous`, and not to be made up."
    ordering_query_param = "ordering"
    parameters = frozenset({"cursor", "page_size", "ordering"})

    def get_page_size(self, request: Request) -> int:
        """Return what was asked for; raise ValidationError for what is no number or too large."""
        asked = request.query_params.get("page_size")
        if asked is None:
            return int(self.page_size or MAX_PAGE_SIZE)
        if not (asked.isascii() and asked.isdecimal() and len(asked) < 10 and 1 <= int(asked) <= MAX_PAGE_SIZE):
            raise ValidationError({"page_size": [f"It must be a whole number from 1 to {MAX_PAGE_SIZE}."]})
        return int(asked)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Return the columns to order by; the id decides between rows that are alike in the first."""
        self._model: type[Model] = queryset.model
        asked = request.query_params.get(self.ordering_query_param, view.orderings[0])
        if asked not in view.orderings:
            raise ValidationError({"ordering": [f"It must be one of: {', '.join(view.orderings)}."]})
        sign = "-" if asked.startswith("-") else ""
        return (asked,) if asked.lstrip("-") == "id" else (asked, f"{sign}id")

    def decode_cursor(self, request: Request) -> Any:
        """Return the cursor; raise ValidationError for one that was not given out by this list."""
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                column: Field[Any, Any] = self._model._meta.get_field(self.ordering[0].lstrip("-"))  # type: ignore[assignment]
                column.to_python(cursor.position)
        except (NotFound, InvalidValue, ValueError, OverflowError) as exc:
            raise ValidationError({"cursor": ["It is not one that this list gave out in next or previous."]}) from exc
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters for the schema."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": MAX_PAGE_SIZE, "default": self.page_size}
        orderings = {"type": "string", "enum": list(view.orderings), "default": view.orderings[0]}
        ordering = {"name": "ordering", "in": "query", "required": False, "schema": orderings}
        return [*parameters, ordering | {"description": "What comes first; with a minus, the last or largest."}]
