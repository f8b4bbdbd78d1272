"""What an operator may do: Django's permissions, as in the admin."""

from typing import Any

from django.db.models import Model
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

METHODS = ("GET", "HEAD", "POST", "PATCH")


class RegistryPermission(BasePermission):
    """Ask for the permission to view the model and, for an action, for the action's own on top.

    The registry's functions ask for the latter again; asked for here, it is refused before anything
    is looked up or read.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user may; name the permission that is missing."""
        if request.method not in METHODS:
            raise MethodNotAllowed(str(request.method))
        if not (request.user and request.user.is_authenticated):
            return False
        missing = [name for name in _needed(view) if not request.user.has_perm(name)]
        self.message = f"You need the permission {' and '.join(missing)}; the admin gives it to users and groups."
        return not missing


def _needed(view: Any) -> list[str]:
    model: type[Model] | None = view.queryset.model if hasattr(view, "queryset") else None
    needed = [f"{model._meta.app_label}.view_{model._meta.model_name}"] if model else []
    own = getattr(view, "action_permissions", {}).get(getattr(view, "action", None))
    return [*needed, own] if own else needed
