"""What users run: one file each, imported without torch. A new file here is all that it takes."""
