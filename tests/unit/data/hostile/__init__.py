"""Files that mean harm, all built from code."""
