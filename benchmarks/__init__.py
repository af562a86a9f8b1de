"""Speed of the augmentation line beside its peers and its ceilings. See README.md in this folder."""
