"""Datasets, betons and the loaders that serve them."""
