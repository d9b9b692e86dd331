"""The programs: short absl shells around the library."""
