"""Server-sent events: the event log of a job, live."""
