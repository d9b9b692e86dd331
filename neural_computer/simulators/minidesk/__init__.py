"""A small desktop that is two pure functions: `step.step(desk, events) -> desk` and `drawing.render(desk) -> picture`.

No clock, no randomness, no threads: delays are counted in frames, and a desk is a value that can be kept, compared and
gone on from. What is on the screen is one list of widgets (`scene`), which is drawn, hit and told as truth.
"""
