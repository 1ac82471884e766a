"""Lightning callbacks: they read a run, and what is learned is the same with them and without, byte for byte."""
