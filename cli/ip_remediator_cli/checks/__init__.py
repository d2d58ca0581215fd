"""What `ip-remediator doctor` checks."""
