"""The reference incident, watched from its first event to the proof of its cure."""
