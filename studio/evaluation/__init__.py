"""Evaluation of a run's adapter on images; only reads run directories."""

from studio.evaluation.evaluate import evaluate
from studio.training.metrics import Metrics

__all__ = ["Metrics", "evaluate"]
