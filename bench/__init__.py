"""Side-by-side measurements: `make bench-NAME` runs ours and the peers in one go and writes bench/results/NAME.json."""
