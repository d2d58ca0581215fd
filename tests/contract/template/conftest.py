"""What the template and the onboarding make is tried on the embedded AWS, with its tests' own fixtures."""

from tests.stack.aws.conftest import aws, make, network, no_faults

__all__ = ["aws", "make", "network", "no_faults"]
