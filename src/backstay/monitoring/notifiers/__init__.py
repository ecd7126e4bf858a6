"""Notifiers: how people are told of an incident, each by its name in `[notify]`: webhook, slack, email, a user's own.

A *message* is what is told: which model, what kind, how large beside what is tolerated, since when. It has names of
columns and figures over many rows, and nothing of any one row, nor what people wrote: it leaves the house.
"""
