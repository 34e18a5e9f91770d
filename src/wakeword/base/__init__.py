"""What every stage stands on: errors with remedies, params, logging, files that are whole or absent."""
