"""What agents, teams and workflows are made of; knows no store."""
