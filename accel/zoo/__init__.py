"""The mini models: a synthetic world, the commands that train on it, and their weights."""
