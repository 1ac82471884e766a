"""Networks: weight normalization and its rivals, torsos, heads, initialization and folding.

This room knows no reinforcement learning beyond the shape of a Q-network's output.
"""
