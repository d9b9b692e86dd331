"""Update: the only verb that returns parameters, and the loop around it."""
