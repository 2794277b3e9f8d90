"""People who run this OpenTill: how the first one is made, their passwords, and the log of what they did."""
