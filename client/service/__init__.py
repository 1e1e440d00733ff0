"""What people and programs can ask for, once for every surface."""
