"""Acting: from frames to observations to actions, in training (collector) and in evaluation (evaluator).

The network is seen as a callable from observations to Q-values, and nothing more.
"""
