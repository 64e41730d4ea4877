"""Rounds without a person at the keyboard: label batches checked, rounds run, champions promoted."""
