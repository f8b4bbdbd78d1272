"""What can go wrong in a backend or in what it was given. All derive from BackendError."""


class BackendError(Exception):
    """Base of the errors of this package; its text says what to change."""


class BackendNotFound(BackendError):
    """No folder of that name holds a model.py."""


class BackendBroken(BackendError):
    """A model.py is there, but no backend can be made of it."""


class LabelConfigError(BackendError):
    """A labelling config is not one that Label Studio could show."""


class InvalidPrediction(BackendError):
    """predict() returned something that Label Studio could not store."""
