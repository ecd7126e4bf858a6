"""The time machine: history served again by the real server, on a replayed clock.

A replay plays the world: it pushes what became known, asks what was asked, lets labels come when they came, and lets
the lifecycle do what is due. Everything else is what runs in production.
"""
