"""Rehearsal: whole campaigns on a fully labelled set, in memory, by the verbs of a real round."""
