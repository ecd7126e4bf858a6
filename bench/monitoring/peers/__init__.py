"""What ours is compared with; each runs in the peers' environment, as its documents show it and with its defaults."""
