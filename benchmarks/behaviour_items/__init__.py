"""Items of benchmarks/behaviour.py: what the training methods do on real data, beside what is said of them."""
