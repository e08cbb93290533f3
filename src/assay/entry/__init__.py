"""What people use from Python: `assay.evaluate` and `assay.Study`."""
