"""What banks and providers send us: verify, store raw, answer at once; work happens later."""
