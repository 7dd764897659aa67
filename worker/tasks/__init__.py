"""Celery tasks: thin, one per kind of wake-up."""
