"""Merge strategies: from votes to a consensus, (S, C) weights per sample."""
