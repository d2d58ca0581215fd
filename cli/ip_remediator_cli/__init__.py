"""The command line `ip-remediator`."""
