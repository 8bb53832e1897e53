"""The Results page: confusion, predictions and ablation."""
