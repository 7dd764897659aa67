"""What the engine promises, measured: `python -m benchmarks.reliability` starts real services, kills, cancels, follows.

Everything runs at the settings that an operator has without setting any, on both ways to run the service: embedded
(SQLite, messages in files) and with servers (PostgreSQL with fsync, Redis), on free ports of the loopback. What is
started here is ended here.
"""
