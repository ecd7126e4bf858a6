"""What ours is compared with; each runs in the peers' environment."""
