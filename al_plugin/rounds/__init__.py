"""The verbs of a round, one file each, in memory only: merge, train, score, select."""
