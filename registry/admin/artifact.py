from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, SharedContentAdmin, link
from registry.models import Artifact, StoredFile


@admin.register(Artifact)
class ArtifactAdmin(JournalAdmin):
    """The model files of versions."""

    list_display = ("path", "size", "file", "version", "project")
    search_fields = ("path",)
    ordering = ("-version_id", "path")
    fields = ("path", "size", "stored_file", "version_page", "project")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        return super().get_queryset(request).select_related("version__project", "file")

    @admin.display(description="size", ordering="file__size")
    def size(self, artifact: Artifact) -> str:
        return filesizeformat(artifact.file.size)

    @admin.display(description="content")
    def stored_file(self, artifact: Artifact) -> SafeString | str:
        return link(artifact.file)

    @admin.display(description="version")
    def version_page(self, artifact: Artifact) -> SafeString | str:
        return link(artifact.version)

    @admin.display(description="project")
    def project(self, artifact: Artifact) -> str:
        return str(artifact.version.project)


@admin.register(StoredFile)
class StoredFileAdmin(SharedContentAdmin):
    """The content of model files, and how many versions share each."""

    list_display = ("short_digest", "readable_size", "complete", "shared_by", "stored_at")
    list_filter = ("complete",)
    fields = ("digest", "readable_size", "complete", "shared_by", "stored_at")
    held_by = "artifacts"
