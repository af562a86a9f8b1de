"""Training steps beside their ceilings: the same network fed by each loader, by a batch kept, by views kept."""
