"""Active learning as a plugin for DVC + MLflow repositories."""

__version__ = "0.1.0"
