"""The statistics of an experiment: pure functions of numbers, with randomness passed in.

- `estimate`: paired effects with their intervals
- `sequential`: error spending, so that one may look while runs are still coming
- `family`: many arms at once
- `outliers`: warm-up and outliers, flagged and kept
- `switchback`: a live experiment on one process, with autocorrelation

Nothing here knows what a run, an arm's environment or a store is. numpy and scipy are imported when
first used: a command that only prints its help does not pay for them.
"""
