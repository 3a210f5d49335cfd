"""What ``slope.export`` is made of: names, which result feeds which argument, files, checks."""
