"""Watching: realised quality on mature cohorts, label maturity, freshness. It reads the records and nothing else."""
