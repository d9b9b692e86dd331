"""The networks: pure linen modules that know nothing of episodes, terminals or mice."""
