"""Monitoring: false alarms, power, delay, speed and odd columns, beside peers on the same rows."""
