"""Speed of loaders beside their peers and their ceilings, from a beton to uint8 views. See ../README.md."""
