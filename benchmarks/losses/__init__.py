"""Losses beside their peers: forward, backward and memory on made-up embeddings."""
