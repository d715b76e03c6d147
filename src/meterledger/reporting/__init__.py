"""Reports as pages: figures of a usecase made into one HTML file that needs nothing else."""
