"""Imports: packages from another channel, a folder or a bucket, as a job that goes on after a crash."""
