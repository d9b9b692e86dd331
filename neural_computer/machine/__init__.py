"""What is run as a computer: sessions that people and policies use frame by frame, and the server of the page.

`session` is one user's machine as a value, `engine` the program that advances it, `host` advances several at a time, `ticker`
keeps their time, `server` has the page and the socket, `client` is for Python. Nothing here changes a parameter, and nothing
that a model draws is ever executed.
"""
