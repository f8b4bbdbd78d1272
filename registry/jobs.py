"""What the queue calls. Each takes a primary key and calls one function."""

from registry import training


def train_project(project_id: int) -> None:
    """Train on everything that waits in the project."""
    training.drain(project_id)
