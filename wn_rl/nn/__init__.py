"""Weight normalization as a library: layers, rivals, initialization, conversion and folding of any network."""
