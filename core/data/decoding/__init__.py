"""Media files decoded by processes of their own, several at a time.

A file that takes its decoder down, or never ends, is one bad sample: the process is replaced, and its other files are
decoded by the next. `pool` is the side of whoever wants values, `__main__` that of the processes, `wire` what goes
between the two: JSON and plain bytes, so that a decoder that was taken over can say nothing but numbers and texts.
"""
