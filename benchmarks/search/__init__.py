"""Search methods compared at equal spend.

    python -m benchmarks.search analytic --instances 1000 1001 --seeds 0 1 2 --out FILE.json

A `problem.Problem` stands for hours of training: it knows what a design's accuracy is, and gives
noisy readings of it. `replay.replay` lets one method search it exactly as the product does, and
`compare` puts methods side by side. The methods that are no part of the product are in `rivals`.
"""
