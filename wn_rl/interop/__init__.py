"""Other programs: their agents played here, and ours given to them, as files, models, repositories and data sets."""
