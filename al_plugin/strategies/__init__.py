"""Strategies, one folder per DVC stage, one file per family. See ``registry.py`` for the contract."""
