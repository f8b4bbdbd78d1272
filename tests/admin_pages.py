"""What the tests of the admin do as an operator does it."""

from typing import Any

from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse


def page(client: Client, model: str, row: Model | None = None) -> str:
    """Return the page of a row, or the list of all."""
    name = f"admin:registry_{model}_change" + ("list" if row is None else "")
    response = client.get(reverse(name, args=[] if row is None else [row.pk]))
    assert response.status_code == 200
    return response.content.decode()


def act(client: Client, model: str, action: str, rows: Any, **fields: str) -> str:
    """Run an action on rows of a list; return the page that it leads to."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(reverse(f"admin:registry_{model}_changelist"), data, follow=True).content.decode()


def log_in(client: Client, *permissions: str) -> User:
    """Log a user in who may do this and nothing else."""
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return user
