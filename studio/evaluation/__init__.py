"""Measuring a run's adapter on images; reads run directories, writes nothing into them."""

from studio.evaluation.evaluate import evaluate
from studio.training.metrics import Metrics

__all__ = ["Metrics", "evaluate"]
