"""What model authors import, and one folder for each of their backends."""

from backends.base import LabelStudioMLBase
from backends.errors import BackendError, InvalidPrediction, LabelConfigError
from backends.functions import predict_fn, update_fn
from backends.policy import TrainingPolicy
from backends.promotion import PromotionPolicy
from backends.response import ModelResponse

__all__ = [
    "BackendError",
    "InvalidPrediction",
    "LabelConfigError",
    "LabelStudioMLBase",
    "ModelResponse",
    "PromotionPolicy",
    "TrainingPolicy",
    "predict_fn",
    "update_fn",
]
