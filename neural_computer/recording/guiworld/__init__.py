"""GUIWorld: datasets of desktop videos, synthetic, recorded and imported."""
