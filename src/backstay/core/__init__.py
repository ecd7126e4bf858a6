"""What every room stands on: errors, the clock, times and durations, identifiers, the table of settings.

Standard library only: nothing here knows a frame, a model or a file format.
"""
