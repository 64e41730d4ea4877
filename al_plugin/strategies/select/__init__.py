"""Select strategies: positions of the next batch among the candidates, (n,)."""
