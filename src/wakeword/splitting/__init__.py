"""Who goes to train, who to dev, who to test."""
