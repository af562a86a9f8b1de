"""A run looked at after it was trained: what is in its features. `subject` opens it, `passes` shows it images."""
