"""What an evaluation says: accuracies, attack modes, randomness, gradients, and the images themselves."""
