"""Apache Beam: the jobs, and where they run. Nothing else imports this package."""
