"""For eyes: videos, overlays, live play, progress bars, pages and TensorBoard."""
