"""The instruments that users run."""
