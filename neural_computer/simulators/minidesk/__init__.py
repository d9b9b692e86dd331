"""A small desktop that is two pure functions: `step.step(desk, events) -> desk` and `drawing.render(desk) -> picture`.

No clock, no randomness, no threads: delays are counted in frames, and a desk is a value that can be stored, compared and
continued. One list of widgets (`scene`) is drawn, hit by the pointer and given out as ground truth.
"""
