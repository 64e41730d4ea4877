"""Samples of any kind as arrays of numbers: vectors, texts, tables, images. `form` is the door."""
