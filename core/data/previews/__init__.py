"""What the samples of a data set look like: rows as JSON, media as small pictures and sounds.

All of it happens in processes of their own (`__main__`), with limits on time and memory: `previewer` is the side of
whoever asks. A process that a file takes down, or that takes too long, is replaced, and the file is told as one that
cannot be shown. `opened` is a data set as its jobs would split it, `values` its rows as JSON, `pictures` and `series`
what is drawn.
"""
