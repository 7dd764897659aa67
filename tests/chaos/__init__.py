"""The fault suite: a fleet of real processes, faults by the hundred, and a checker that looks at what is left.

    python -m tests.chaos run --backend sqlite --units 1500 --seed 1       (or: make chaos)
    python -m tests.chaos report                                           adds up what all runs found

It starts everything it harms itself, on loopback and in a folder of its own, and ends nothing else.
"""
