"""The HTTP side: it parses, asks `core.jobs`, and answers. It never imports torch."""
