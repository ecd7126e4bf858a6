"""The feature store against Polars, DuckDB, Feast and a bare Redis client: `make bench-features`."""
