"""Evaluations: how fast their metrics are, beside scikit-learn and Fairlearn, and how often their intervals cover."""
