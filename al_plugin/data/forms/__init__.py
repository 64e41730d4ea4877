"""From a pool part of any kind to an array of numbers."""
