"""A model whose fit takes 50 ms, for all events that wait one."""

from backends import TrainingPolicy
from backends.each.model import Each  # type: ignore[import-not-found]  # found by BACKENDS_PATH


class Together(Each):  # type: ignore[misc]
    """Learns how many events there were, many at a time."""

    training_policy = TrainingPolicy()
