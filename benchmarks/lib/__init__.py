"""What the benchmarks share: clips, measured processes, results. `make bench` runs the files beside this folder."""
