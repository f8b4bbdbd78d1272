from django.apps import AppConfig


class ServerConfig(AppConfig):
    """The HTTP surface and its management commands."""

    name = "mlserver"
    verbose_name = "ML server"
