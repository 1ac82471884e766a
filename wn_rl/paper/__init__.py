"""The other experiments of Salimans & Kingma 2016: CIFAR-10, the autoencoder and DRAW, on wn_rl.nn alone."""
