"""Playing: policies, the collector of training steps, and the evaluator of whole games."""
