"""What agents and teams are made of: options, built-in tools, planning, delegation."""
