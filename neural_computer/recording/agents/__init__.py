"""Computer-use agents as policies of a desktop: screenshots go out to a vendor's model, its actions come back as events.

actions    the vocabulary of actions, in Anthropic's names, and their events frame by frame
openai     OpenAI's computer tool: its actions in that vocabulary, its requests and responses
anthropic  Anthropic's computer tool: its requests and responses
transport  how requests travel: by HTTP, or replayed from a file of earlier exchanges
policy     an agent as a policy that a recorder can run

Nothing is sent unless a program is given a vendor's model; API keys are then read from the environment.
"""
