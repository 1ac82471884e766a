"""Pages about runs: they read the files of run folders, and know neither PyTorch nor the rest of the program."""
