"""Speed of the augmentation line and of the loaders beside peers and ceilings. See README.md in this folder."""
