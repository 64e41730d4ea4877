"""Items of benchmarks/peers.py: our strategies beside other libraries on the same arrays."""
