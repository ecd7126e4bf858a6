"""What ours is compared with: each in the words of its own documentation, in the environment `.venv-bench`."""
