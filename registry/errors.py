"""What can go wrong in the registry. All derive from RegistryError."""


class RegistryError(Exception):
    """Base of the errors of this package; its text says what to change."""


class InvalidProjectKey(RegistryError):
    """A project is named in a form that Label Studio does not use."""


class StateError(RegistryError):
    """A state value cannot be stored, or must not be loaded."""


class VersionError(RegistryError):
    """A version cannot be made or made live."""


class ParentMoved(VersionError):
    """What was learnt stands on a version that is not what training goes on from any more."""


class BackendFailed(RegistryError):
    """The backend's own code raised; the cause is chained, and is nothing for a client to see."""


class Busy(RegistryError):
    """Every slot of a model is taken, for longer than a request can wait."""


class ArtifactError(RegistryError):
    """A model file cannot be kept, or is not what was kept."""


class ArchiveError(RegistryError):
    """A version cannot be exported, or an archive of one is not what was exported."""


class PolicyError(RegistryError):
    """A training or promotion policy cannot be read."""


class EventError(RegistryError):
    """Events are asked for that are not there."""


class RunError(RegistryError):
    """A run cannot be cancelled or tried again."""


class RunTakenAway(RegistryError):
    """A run is no longer its worker's: it was cancelled, or given up for lost."""
