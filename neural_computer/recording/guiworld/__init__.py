"""GUIWorld: datasets of desktop videos, recorded and imported."""
