"""Fuzzing of everything that reads what others wrote: `make fuzz` for volume, a slice of it in `make test`.

An input is made from a source's samples by its number and the seed alone, so a failure is found again with
`python -m tests.fuzz --source NAME --seed SEED --only NUMBER`.
"""
