"""Names for versions beside which one is live, and versions found by what people call them."""

import re

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.db import transaction

from registry import versions
from registry.errors import VersionError
from registry.models import Alias, ModelVersion, Project

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", re.ASCII)


@transaction.atomic
def point(version: ModelVersion, name: str, *, by: AbstractUser | str, protected: bool | None = None) -> Alias:
    """Have the alias name the version, whatever it named before; `protected` None leaves that as it is.

    Raise VersionError for a name that cannot be one, PermissionDenied for a user who may not.
    """
    check_name(name)
    project = versions.locked(version.project_id)
    alias = Alias.objects.filter(project=project, name=name).first() or Alias(project=project, name=name)
    _check_permission(by, alias.protected or bool(protected))
    alias.version = version
    if protected is not None:
        alias.protected = protected
    alias.save()
    return alias


@transaction.atomic
def remove(alias: Alias, *, by: AbstractUser | str) -> None:
    """Do away with the alias; raise PermissionDenied for a user who may not."""
    _check_permission(by, alias.protected)
    alias.delete()


def check_name(name: str) -> None:
    """Raise VersionError for what no alias can be called."""
    if name == Alias.LIVE or not _NAME.fullmatch(name):
        raise VersionError(
            "An alias is a letter and then up to 99 letters, digits, dots, dashes and underscores; "
            "“live” is moved by promoting a version."
        )


def find(project: Project, reference: str) -> ModelVersion:
    """Return the version that somebody calls by its name, its number, an alias, or "live".

    Raise VersionError where none is called that.
    """
    if reference == Alias.LIVE and project.live is not None:
        return project.live
    if alias := Alias.objects.filter(project=project, name=reference).select_related("version").first():
        return alias.version
    found = project.versions.filter(name=reference).first()
    if found is None and reference.isascii() and reference.isdecimal():
        found = project.versions.filter(number=int(reference[:9])).first()
    if found is None:
        raise VersionError(f"{project} has no version {reference!r}.")
    return found


def may_change(user: AbstractUser, protected: bool) -> bool:
    """Return whether the user may point, move and remove aliases, or protected ones."""
    return user.has_perm("registry.change_protected_alias" if protected else "registry.change_alias")


def _check_permission(by: AbstractUser | str, protected: bool) -> None:
    if isinstance(by, str):
        return
    if not may_change(by, protected):
        raise PermissionDenied(
            "You need the permission “Can move and remove protected aliases”."
            if protected
            else "You need the permission “Can change alias”."
        )
