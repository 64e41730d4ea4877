"""Score strategies: one score per pool sample, (N,), higher is labelled first."""
