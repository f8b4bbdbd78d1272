import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction

_NAME = "admin"


class Command(BaseCommand):
    """Make an administrator with a password of its own, where there is none yet."""

    help = "Creates the user `admin` with a random password, shown once, when there is no superuser."

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        try:
            with transaction.atomic():
                users.create_superuser(username=_NAME, password=password)
        except IntegrityError as exc:
            if users.filter(is_superuser=True).exists():  # Another process was first.
                return
            raise CommandError(
                f"There is a user named {_NAME} without administrator rights. Run ./manage.py createsuperuser."
            ) from exc
        self.stdout.write(
            f"\n  Admin user   {_NAME}\n"
            f"  Password     {password}\n"
            "  This password is shown only once. To change it: ./manage.py changepassword admin\n"
        )
        self.stdout.flush()
