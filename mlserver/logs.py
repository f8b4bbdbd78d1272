"""Log formatting that keeps secrets out of the log."""

import logging

from registry.masking import mask_secrets

__all__ = ["SecretMaskingFormatter", "mask_secrets"]


class SecretMaskingFormatter(logging.Formatter):
    """Format records, tracebacks included, with the server's own secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))
