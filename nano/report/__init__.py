"""Pages and tables from a run's records: nothing here trains, counts anew or times."""
