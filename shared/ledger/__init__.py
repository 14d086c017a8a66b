"""Records of work in Table Storage: runs, and the slots of exports."""
