"""What records of format 1 show, as blocks: one file for each kind, until its instrument yields them."""
