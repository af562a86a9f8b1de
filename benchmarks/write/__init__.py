"""Benchmark of the writers: a folder of JPEGs becomes a training file."""
