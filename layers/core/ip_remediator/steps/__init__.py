"""The steps of an incident: each reads the record, asks the domain, lets adapters act, and writes the record.

A step can be run any number of times, after any crash, with one result.
"""
