"""The admin: where operators look, and move the live version."""

from django.contrib import admin

from registry.admin import event, project, run, state, version  # noqa: F401  (each registers its models)

admin.site.site_header = "ML server for Label Studio"
admin.site.site_title = "ML server"
admin.site.index_title = "Projects, versions and training"
