"""What a remediation costs and how fast it is, beside the same cure by hand. `python -m benchmarks`."""
