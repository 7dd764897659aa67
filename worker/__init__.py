"""The worker: takes wake-ups, claims units, looks after training processes. It never imports torch."""
