"""The ladder: small language models trained by us, so that a loss can be placed among them."""
