"""The embedded stack: starts every server as a process of its own, deploys the real template, ends all of it."""
