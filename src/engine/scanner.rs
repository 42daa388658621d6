//! The scanner and describer threads: snapshots at an interval that never costs more than 5 % of a core.
