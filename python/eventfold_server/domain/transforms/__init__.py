"""Copy-transforms: jobs that read streams and write new ones by a document."""
