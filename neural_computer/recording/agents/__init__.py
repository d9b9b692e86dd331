"""Computer-use agents at a desktop: what they see goes out, what they want done comes back.

actions   the vocabulary, Anthropic's names, as the events of frames
openai    OpenAI's computer tool: its actions in that vocabulary, its requests and answers
anthropic Anthropic's computer tool: its requests and answers
wire      how requests travel: by HTTP, or from a file, where they have been before
acting    the agent as a policy that a recorder can record

Nothing is sent anywhere unless a program is told to ask a vendor's model; keys are read from the environment then.
"""
