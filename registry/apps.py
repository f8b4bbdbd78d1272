from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """What is remembered: projects, versions, state, events and runs."""

    name = "registry"
    verbose_name = "Model registry"

    def ready(self) -> None:
        from registry import checks  # noqa: F401  (registers the system checks)
