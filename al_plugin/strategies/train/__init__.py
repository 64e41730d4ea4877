"""Training strategies: from a training task to fitted members and the signals they give."""
