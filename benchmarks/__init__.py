"""What is timed. Nothing here is a test: figures depend on the machine, and tests assert no time."""
