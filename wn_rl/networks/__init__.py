"""Q-networks: torsos, heads, pixels, the folded network that acts, and what a value depends on."""
