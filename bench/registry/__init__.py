"""The registry, its ledger and its runs, beside MLflow's store and bare limits."""
