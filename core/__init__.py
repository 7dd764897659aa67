"""The domain of gblend: Gradient-Blending, its data, its training and its jobs.

Knows nothing of HTTP or queues. `docs/architecture.md` draws the rooms and the directions between them.
"""
