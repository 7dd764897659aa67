"""Does the method help? Strategies x seeds x data sets, through the training path that the service uses.

    python -m benchmarks.method --data ../shared/data        # writes results.json and results.md beside this file

Every strategy of one seed gets the same prepared data: the same split, the same V, the same order of rows. The answer
is chosen as the service chooses it; nothing here looks at a test score to decide anything.
"""
