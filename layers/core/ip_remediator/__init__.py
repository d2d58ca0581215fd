"""Diagnose, plan, cure and undo pod IP exhaustion on Amazon EKS."""
