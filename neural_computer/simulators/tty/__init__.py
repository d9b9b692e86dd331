"""A terminal that is typed into, frame by frame: `machine.press(tty, key) -> tty` and `drawing.render(tty) -> picture`.

No clock, no process, no randomness: a terminal is a value that can be stored, compared and continued. All of it is on its
screen but the history that Up recalls. `typists` type without end, `kinds` labels what every frame shows, `source` draws
clips for training from what they typed.
"""
