"""Playing: policies, the collector of training steps, the evaluator of whole games, and the frame stack."""
