"""Everything that decides: pure functions of data, with no boto3, no Kubernetes client, no clock, no environment."""
