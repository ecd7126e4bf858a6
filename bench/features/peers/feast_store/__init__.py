"""A Feast repository: definitions, and one configuration for each pair of engines."""
