#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run the management command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserver.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as exc:
        raise SystemExit(
            "Django is not installed in this Python. Run `make serve`, which sets up .venv, "
            "or activate the environment the requirements were installed in."
        ) from exc
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
