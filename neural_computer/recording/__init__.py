"""Recording real machines: terminals, desktops, agents. A leaf: training and running never import it."""
