"""Execution environments of Lambda functions: one Python process each, as Lambda's own runtime behaves."""
