"""What the commands do: command line, configuration, building, training, resuming, playing, failures."""
