"""What may be mended behind a claim before it is called wrong, each beside what the same mending gives alone."""
