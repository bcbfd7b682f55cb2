"""The benchmark: the mission's workloads under every allocator at hand, and what the figures say.

The way is one-way: `rows` and `peers` say what is compared, `conduct` runs it through `measure`,
`analysis` (pure) turns runs into ratios, `table` and `results` show and keep them. `callgrind`
counts instructions instead of time. Used by `hakmem bench` alone.

It runs the programs of bench/workloads only; arms that differ in their environment are `hakmem ab`.
"""
