//! Simulated seams: a clock that only moves when told, a seeded generator, a disk in memory that can fail.
