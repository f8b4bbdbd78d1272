import json

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from registry.admin.base import JournalAdmin, link, list_link, preformatted, short_hash
from registry.masking import masked
from registry.models import AnnotatedTask, Annotation


def readable(body: bytes | memoryview | None) -> SafeString | str:
    """Return a stored JSON body in lines, its secrets masked."""
    if body is None:
        return "–"
    return preformatted(json.dumps(masked(json.loads(bytes(body))), indent=2, ensure_ascii=False))


@admin.register(AnnotatedTask)
class AnnotatedTaskAdmin(JournalAdmin):
    """The tasks that models learn from, as Label Studio sent them last."""

    list_display = ("__str__", "split", "alike", "project", "deleted", "updated_at")
    list_filter = ("split", "deleted", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("=ls_id",)
    ordering = ("-id",)
    fields = ("ls_id", "project_page", "annotations", "split", "alike", "updated_at", "deleted", "content")

    @admin.display(description="project")
    def project_page(self, task: AnnotatedTask) -> SafeString | str:
        return link(task.project)

    @admin.display(description="annotations")
    def annotations(self, task: AnnotatedTask) -> SafeString:
        count = Annotation.objects.filter(project=task.project_id, task_ls_id=task.ls_id).count()
        return list_link("annotation", count, project__id__exact=task.project_id, task_ls_id=task.ls_id)

    @admin.display(description="stratum", ordering="stratum")
    def alike(self, task: AnnotatedTask) -> SafeString | str:
        return short_hash(task.stratum)

    @admin.display(description="What Label Studio sent")
    def content(self, task: AnnotatedTask) -> SafeString | str:
        return readable(task.body)


@admin.register(Annotation)
class AnnotationAdmin(JournalAdmin):
    """The latest state of each annotation: what models learn from, what was skipped, what is gone."""

    list_display = ("__str__", "task_ls_id", "project", "skipped", "deleted", "updated_at")
    list_filter = ("skipped", "deleted", "project__backend", ("project", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("project",)
    search_fields = ("=ls_id", "=task_ls_id")
    ordering = ("-id",)
    fields = ("ls_id", "task_page", "project_page", "updated_at", "skipped", "deleted", "content")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let a task's page link to its annotations."""
        return lookup == "task_ls_id" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description="task")
    def task_page(self, annotation: Annotation) -> SafeString | str:
        if annotation.task_ls_id is None:
            return "–"
        tasks = AnnotatedTask.objects.filter(project=annotation.project_id, ls_id=annotation.task_ls_id)
        return link(tasks.first())

    @admin.display(description="project")
    def project_page(self, annotation: Annotation) -> SafeString | str:
        return link(annotation.project)

    @admin.display(description="What Label Studio sent")
    def content(self, annotation: Annotation) -> SafeString | str:
        return readable(annotation.body)
